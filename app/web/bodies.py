"""Request bodies: read, decoded and validated, with FastAPI's answer to every mistake."""

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from itertools import islice
from typing import Any, NamedTuple, Self, TypeVar, get_args

import orjson
from aiohttp import web
from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from app.structs import MAX_DEPTH, is_deep
from app.texts import is_utf8
from app.web.errors import ApiError, invalid, problem

MAX_BODY_BYTES = 32 * 1024**2
MAX_ERRORS = 1_000
_MAX_CONTAINERS = 2_500_000
_INTEGERS = range(-(2**63), 2**64)  # that orjson writes
_LONG_NUMBER = re.compile(rb"\d{20}")

TOO_MANY = "too_many"

Model = TypeVar("Model", bound=BaseModel)
Decode = Callable[[bytes], Any]


def decode(raw: bytes) -> Any:
    """JSON as Python's own parser takes it: NaN and lone surrogates are let through, for the model to judge.

    Raises:
        ApiError: 422 `json_invalid` with the position of the mistake.
    """
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return _decode_slowly(raw)


def decode_exactly(raw: bytes) -> Any:
    """As `decode`, but whole numbers beyond 64 bits stay what they are, which orjson rounds."""
    return _decode_slowly(raw) if _LONG_NUMBER.search(raw) else decode(raw)


def count_containers(raw: bytes) -> int:
    """How many objects and arrays JSON has, or a few more: braces and brackets in texts count too.

    Raises:
        ApiError: 413, more than 2,500,000, which take more than a second to decode.
    """
    found = raw.count(b"{") + raw.count(b"[")
    if found > _MAX_CONTAINERS:
        message = f"The body has {found} opening braces and brackets, more than {_MAX_CONTAINERS}"
        raise problem(413, ["body"], message, "body_too_large")
    return found


async def read_json(request: web.Request, decode: Decode = decode) -> Any:
    """The decoded body; bytes if it does not say that it is JSON, which no model accepts.

    Raises:
        ApiError: 422, the body is missing or no JSON; 413, as `count_containers`.
        web.HTTPRequestEntityTooLarge: it is over 32 MiB.
    """
    raw = await request.read()
    if not raw:
        raise problem(422, ["body"], "Field required", "missing")
    if not says_json(request.headers.get("Content-Type", "")):
        return raw
    containers = count_containers(raw)
    body = decode(raw)
    if containers > MAX_DEPTH and is_deep(body):
        raise problem(422, ["body", 0], f"The body is nested more than {MAX_DEPTH} levels deep", "json_invalid")
    return body


async def read_object(request: web.Request, decode: Decode = decode) -> dict[str, Any]:
    """As `read_json`, of views whose texts are our own. Raises ApiError, 422 also for what is no object."""
    body = await read_json(request, decode)
    if not isinstance(body, dict):
        message = "The body must be a JSON object, sent with Content-Type: application/json"
        raise problem(422, ["body"], message, "model_attributes_type")
    return body


def _decode_slowly(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except json.JSONDecodeError as error:
        position = error.pos
    except UnicodeDecodeError as error:
        position = error.start
    except (RecursionError, ValueError):  # nested too deeply, or a number of thousands of digits
        position = 0
    raise problem(422, ["body", position], "JSON decode error", "json_invalid")


def validate(model: type[Model], body: Any, refuse: Callable[[ValidationError, str], ApiError] = invalid) -> Model:
    """`body` as `model`, checked the way FastAPI checks a body (pydantic in Python mode, attributes allowed).

    Raises:
        ApiError: 422 with all that is wrong, but see `with_fewer_mistakes`.
    """
    try:
        return model.model_validate(with_fewer_mistakes(model, body), from_attributes=True)
    except ValidationError as error:
        raise refuse(error, "body") from None


def with_fewer_mistakes(model: type[BaseModel], body: Any) -> Any:
    """`body` with at most 1,000 fields that the model refuses, and 1,000 items that are no text in a list of texts.

    Each is a mistake, which takes long to tell.
    """
    if not isinstance(body, dict):
        return body
    known = {field.alias or name: field for name, field in model.model_fields.items()}
    cut = dict(body)
    if model.model_config.get("extra") == "forbid":
        unknown = islice((name for name in body if name not in known), MAX_ERRORS)
        cut = {name: body[name] for name in (*known, *unknown) if name in body}
    for name, field in known.items():
        for part in (field.annotation, *get_args(field.annotation)):
            if name in cut and isinstance(part, type) and issubclass(part, BaseModel):
                cut[name] = with_fewer_mistakes(part, cut[name])
            elif name in cut and part == list[str]:
                cut[name] = _up_to_mistakes(cut[name])
    return cut


def _up_to_mistakes(texts: Any) -> Any:
    if not isinstance(texts, list) or set(map(type, texts)) <= {str}:
        return texts
    wrong = (index for index, text in enumerate(texts) if type(text) is not str)
    last = next(islice(wrong, MAX_ERRORS - 1, None), len(texts))
    return texts[: last + 1]


@dataclass(frozen=True)
class AtMost:
    """Refuses a longer list, or an object with more fields, before anything in it is validated."""

    limit: int

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        described = handler(schema)
        return described | {"maxProperties" if described.get("type") == "object" else "maxItems": self.limit}

    def _check(self, value: Any) -> Any:
        if isinstance(value, list | dict) and len(value) > self.limit:
            message = f"it has {len(value)} items, more than {self.limit}; nothing was kept"
            raise PydanticCustomError(TOO_MANY, message)
        return value


def printable(value: Any) -> Any:
    """`value` with all that JSON in UTF-8 cannot hold replaced: lone surrogates by U+FFFD, NaN and infinities by null,
    integers beyond 64 bits by the nearest float."""
    if isinstance(value, str):
        return value if is_utf8(value) else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {printable(name): printable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [printable(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int) and value not in _INTEGERS:
        try:
            return float(value)
        except OverflowError:
            return None
    return value


class Sent(NamedTuple):
    """JSON as it was sent, and as it can be written again, which is mostly one and the same: see `printable`."""

    given: Any
    kept: Any

    @classmethod
    def of(cls, given: Any) -> Self:
        """Raises ApiError, 422."""
        try:
            return cls(given, printable(given))
        except RecursionError:
            raise problem(422, ["body", 0], "JSON decode error", "json_invalid") from None

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """As `decode`. Raises ApiError, also 413, as `count_containers`."""
        count_containers(raw)
        try:
            value = orjson.loads(raw)
        except orjson.JSONDecodeError:
            return cls.of(decode(raw))
        return cls(value, value)

    def member(self, name: str) -> Self:
        """What an object has under a name; null if it is no object."""
        given, kept = (value.get(name) if isinstance(value, dict) else None for value in self)
        return self._replace(given=given, kept=kept)


def says_json(content_type: str) -> bool:
    message = Message()
    message["content-type"] = content_type
    subtype = message.get_content_subtype()
    return message.get_content_maintype() == "application" and (subtype == "json" or subtype.endswith("+json"))
