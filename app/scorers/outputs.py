"""What a scorer returned, or was given, as JSON bytes."""

import dataclasses
import json
import math
from enum import Enum
from typing import Any
from uuid import UUID

import orjson
from pydantic import BaseModel

from app.scorers.errors import InvalidOutput

MAX_OUTPUT_BYTES = 256 * 1024
MAX_DEPTH = 100
"""orjson can write 254 levels, and the records and rows that hold an output add a few."""

_OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS


def encode_output(value: Any) -> bytes:
    """UTF-8 JSON of `value`, at most 256 KiB; pydantic models and dataclasses become objects, tuples arrays.

    Raises InvalidOutput with a sentence that says what is wrong and where.
    """
    try:
        return encode(value, "The output is", MAX_OUTPUT_BYTES, MAX_DEPTH)
    except TooLong as error:
        raise InvalidOutput(str(error)) from None


def encode(value: Any, subject: str, most_bytes: int, most_depth: int) -> bytes:
    """As `encode_output`, for any value; messages begin with `subject`. Also raises TooLong."""
    try:
        encoded = orjson.dumps(value, option=_OPTIONS)
    except (TypeError, ValueError, RecursionError):
        return _encode_slowly(value, _Plain(subject, most_bytes, most_depth))
    if len(encoded) > most_bytes:
        raise _too_long(subject, most_bytes, len(encoded))
    # orjson writes NaN as null, so where there is no null there was no NaN.
    if b"null" in encoded or encoded.count(b"[") + encoded.count(b"{") > most_depth:
        return _encode_slowly(value, _Plain(subject, most_bytes, most_depth))
    return encoded


class TooLong(ValueError):
    """The value has more bytes than can be kept."""


def _encode_slowly(value: Any, plain: "_Plain") -> bytes:
    encoded = json.dumps(plain.of(value, "$", 0), ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    if len(encoded) > plain.most_bytes:
        raise _too_long(plain.subject, plain.most_bytes, len(encoded))
    return encoded


class _Plain:
    """Converts a value to plain JSON types; an error says where that is impossible."""

    def __init__(self, subject: str, most_bytes: int, most_depth: int) -> None:
        self.subject = subject
        self.most_bytes = most_bytes
        self._most_depth = most_depth
        self._bytes_left = most_bytes

    def of(self, value: Any, path: str, depth: int) -> Any:
        # Every value takes at least one byte, so this also stops at a value that contains itself many times over.
        self._bytes_left -= 1
        if self._bytes_left < 0:
            raise _too_long(self.subject, self.most_bytes, None)
        if depth > self._most_depth:
            raise InvalidOutput(f"{self.subject} nested more than {self._most_depth} levels deep, or contains itself.")
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, Enum):
            return self.of(value.value, path, depth + 1)
        if isinstance(value, str):
            return self._text(value, path)
        if isinstance(value, int):
            return self._integer(value, path)
        if isinstance(value, float):
            self._all_finite(value, path)
            return float(value)
        return self._compound(value, path, depth)

    def _compound(self, value: Any, path: str, depth: int) -> Any:
        if isinstance(value, dict):
            return {self._key(key, path): self.of(item, f"{path}.{key}", depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.of(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(value)]
        if isinstance(value, BaseModel):
            return self.of(self._dumped(value, path), path, depth + 1)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
            return self.of(fields, path, depth)
        if isinstance(value, UUID):
            return str(value)
        raise InvalidOutput(
            f"{self._at(path)} is a {type(value).__module__}.{type(value).__qualname__}, which is not JSON."
        )

    def _dumped(self, model: BaseModel, path: str) -> Any:
        try:
            dumped = model.model_dump(mode="json", by_alias=True)
            values = model.model_dump(mode="python", by_alias=True)
        except Exception as error:
            raise InvalidOutput(
                f"{self._at(path)} is a {type(model).__qualname__} that cannot be dumped: {error}"
            ) from error
        # In its JSON mode pydantic writes some NaNs as null.
        self._all_finite(values, path)
        return dumped

    def _all_finite(self, value: Any, path: str) -> None:
        if isinstance(value, float) and not math.isfinite(value):
            raise InvalidOutput(f"{self._at(path)} is {float(value)}, which JSON has no number for.")
        if isinstance(value, dict):
            for key, item in value.items():
                self._all_finite(item, f"{path}.{key}")
        elif isinstance(value, list | tuple | set | frozenset):
            for index, item in enumerate(value):
                self._all_finite(item, f"{path}[{index}]")

    def _key(self, key: Any, path: str) -> str:
        if not isinstance(key, str) or isinstance(key, Enum):
            raise InvalidOutput(f"{self._at(path)} has the key {_short(key)}, but keys in JSON are strings.")
        return self._text(key, path)

    def _text(self, text: str, path: str) -> str:
        self._bytes_left -= len(text)
        try:
            text.encode()
        except UnicodeEncodeError:
            raise InvalidOutput(f"{self._at(path)} has a lone surrogate, which UTF-8 cannot write.") from None
        return str(text)

    def _integer(self, number: int, path: str) -> int:
        if not -(2**63) <= number < 2**64:
            raise InvalidOutput(f"{self._at(path)} is a whole number of more than 64 bits.")
        return int(number)

    def _at(self, path: str) -> str:
        return f"{self.subject} not JSON: {path if len(path) <= 200 else f'{path[:100]}...{path[-100:]}'}"


def _too_long(subject: str, most: int, length: int | None) -> TooLong:
    is_long = "" if length is None else f" {length:,} bytes of JSON,"
    return TooLong(f"{subject}{is_long} more than the {most:,} bytes that are kept.")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 50 else text[:50] + "..."
