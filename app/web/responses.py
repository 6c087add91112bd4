"""JSON answers."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from aiohttp import web


def encode(value: Any) -> bytes:
    """`value` as JSON. What a client sent may hold lone surrogates, which only the standard library can write.

    Raises:
        ValueError: it holds them, or numbers beyond 64 bits, and NaN as well.
    """
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode()


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """An answer of `application/json`."""
    return web.Response(body=encode(value), status=status, headers=headers, content_type="application/json")


def timestamp(seconds: float) -> str:
    """Unix seconds as RFC 3339 in UTC, to the microsecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
