"""What a scorer returned, as JSON bytes."""

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
"""orjson writes 254 levels, and an output lies a few levels down in the records and rows that carry it."""

_OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS


def encode_output(value: Any) -> bytes:
    """UTF-8 JSON of `value`, at most 256 KiB; pydantic models and dataclasses become objects, tuples arrays.

    Raises InvalidOutput with a sentence that says what is wrong and where.
    """
    try:
        encoded = orjson.dumps(value, option=_OPTIONS)
    except (TypeError, ValueError, RecursionError):
        return _encode_slowly(value)
    if len(encoded) > MAX_OUTPUT_BYTES:
        raise InvalidOutput(_too_long(len(encoded)))
    # orjson writes NaN as null; only a text that has one can hide it.
    if b"null" in encoded or encoded.count(b"[") + encoded.count(b"{") > MAX_DEPTH:
        return _encode_slowly(value)
    return encoded


def _encode_slowly(value: Any) -> bytes:
    plain = _Plain().of(value, "$", 0)
    encoded = json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    if len(encoded) > MAX_OUTPUT_BYTES:
        raise InvalidOutput(_too_long(len(encoded)))
    return encoded


class _Plain:
    """Turns one value into plain JSON types, or says where that is impossible."""

    def __init__(self) -> None:
        self._bytes_left = MAX_OUTPUT_BYTES

    def of(self, value: Any, path: str, depth: int) -> Any:
        # Every value takes a byte at least: this also ends a value that contains itself many times over.
        self._bytes_left -= 1
        if self._bytes_left < 0:
            raise InvalidOutput(_too_long(None))
        if depth > MAX_DEPTH:
            raise InvalidOutput(f"The output is nested more than {MAX_DEPTH} levels deep, or contains itself.")
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
        raise InvalidOutput(f"{_at(path)} is a {type(value).__module__}.{type(value).__qualname__}, which is not JSON.")

    def _dumped(self, model: BaseModel, path: str) -> Any:
        try:
            dumped = model.model_dump(mode="json", by_alias=True)
            values = model.model_dump(mode="python", by_alias=True)
        except Exception as error:
            raise InvalidOutput(
                f"{_at(path)} is a {type(model).__qualname__} that cannot be dumped: {error}"
            ) from error
        # In its JSON mode pydantic writes some NaNs as null.
        self._all_finite(values, path)
        return dumped

    def _all_finite(self, value: Any, path: str) -> None:
        if isinstance(value, float) and not math.isfinite(value):
            raise InvalidOutput(f"{_at(path)} is {float(value)}, which JSON has no number for.")
        if isinstance(value, dict):
            for key, item in value.items():
                self._all_finite(item, f"{path}.{key}")
        elif isinstance(value, list | tuple | set | frozenset):
            for index, item in enumerate(value):
                self._all_finite(item, f"{path}[{index}]")

    def _key(self, key: Any, path: str) -> str:
        if not isinstance(key, str) or isinstance(key, Enum):
            raise InvalidOutput(f"{_at(path)} has the key {_short(key)}, but keys in JSON are strings.")
        return self._text(key, path)

    def _text(self, text: str, path: str) -> str:
        self._bytes_left -= len(text)
        try:
            text.encode()
        except UnicodeEncodeError:
            raise InvalidOutput(f"{_at(path)} has a lone surrogate, which UTF-8 cannot write.") from None
        return str(text)

    def _integer(self, number: int, path: str) -> int:
        if not -(2**63) <= number < 2**64:
            raise InvalidOutput(f"{_at(path)} is a whole number of more than 64 bits.")
        return int(number)


def _at(path: str) -> str:
    return f"The output is not JSON: {path if len(path) <= 200 else f'{path[:100]}...{path[-100:]}'}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 50 else text[:50] + "..."


def _too_long(length: int | None) -> str:
    is_long = "is" if length is None else f"is {length:,} bytes of JSON,"
    return f"The output {is_long} more than the {MAX_OUTPUT_BYTES:,} bytes that are kept."
