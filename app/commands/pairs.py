"""Options such as --param NAME=VALUE."""

import json
import math
import shlex
from typing import Any, NoReturn

import click
import orjson

from app.commands.options import bad_usage


def named(pairs: tuple[str, ...], option: str, *, files: bool = False) -> dict[str, Any]:
    """The values of a repeatable option by name, each of which may be given once; with `files` also NAME=@FILE."""
    found: dict[str, Any] = {}
    for name, value in (pair(text, option, files=files) for text in pairs):
        if name in found:
            raise bad_usage(f"{option} {name} is given twice.")
        found[name] = value
    return found


def pair(text: str, option: str, *, files: bool = False) -> tuple[str, Any]:
    """Name and value of NAME=VALUE; the value is JSON, or plain text, with `files` also that in @FILE."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise bad_usage(f"{option} must be name=value, not {text!r}.")
    if files:
        literal = shlex.quote(f"{name}={json.dumps(value, ensure_ascii=False)}")
        value = text_of(value, f"{option} {name}", f"; to give this text itself, write {option} {literal}")
    try:
        return name, decoded(value, f"{option} {name}")
    except ValueError:
        return name, value


def text_of(value: str, option: str, otherwise: str = "") -> str:
    """The text in FILE if the value is @FILE (- for stdin), without line breaks at its end; else the value itself.

    `otherwise` ends the sentence about a file that cannot be read.
    """
    if not value.startswith("@") or value == "@":
        return value
    file = value[1:]
    try:
        with click.open_file(file, encoding="utf-8-sig") as opened:
            return opened.read().rstrip("\r\n")
    except UnicodeDecodeError:
        raise bad_usage(f"{option}: the file {file!r} is not UTF-8.") from None
    except OSError as error:
        raise bad_usage(f"{option}: the file {file!r} cannot be read ({error.strerror}){otherwise}.") from None


def readings(text: str, option: str) -> tuple[str, list[Any]]:
    """Name and values of NAME=VALUE: of a value such as 1.10 or true both what it is as JSON and the plain text."""
    name, value = pair(text, option)
    plain = text.partition("=")[2]
    return name, [value] if isinstance(value, str | list | dict) else [value, plain]


def decoded(text: str, option: str) -> Any:
    """The value of JSON without NaN and Infinity. Raises ValueError."""
    value = json.loads(text, parse_constant=_not_json, parse_float=_finite)
    try:
        orjson.dumps(value)
    except TypeError as error:
        raise bad_usage(f"{option} cannot be sent: {error}.") from None
    return value


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _not_json(text)


def _not_json(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")
