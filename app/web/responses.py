"""JSON answers."""

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from aiohttp import web


def encode(value: Any) -> bytes:
    """`value` as JSON. What a client sent may hold lone surrogates, which only the standard library can write."""
    try:
        return orjson.dumps(value)
    except TypeError:
        pass
    try:
        return _written(value)
    except ValueError:
        return _written(_finite(value))


def _written(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode()


def _finite(value: Any) -> Any:
    """`value` with null for NaN and infinities, as orjson writes them."""
    if isinstance(value, Mapping):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """An answer of `application/json`."""
    return web.Response(body=encode(value), status=status, headers=headers, content_type="application/json")


def timestamp(seconds: float) -> str:
    """Unix seconds as RFC 3339 in UTC, to the microsecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def timestamp_or_none(seconds: float | None) -> str | None:
    """As `timestamp`; None stays None."""
    return None if seconds is None else timestamp(seconds)
