"""Classifies failures as passing or lasting, by the exception of whichever HTTP client a scorer uses.

Clients are not imported but recognised by their exceptions: a status, a response with headers, or a class name for a
connection that failed (aiohttp, httpx, requests, urllib, and libraries built on them, such as openai).
"""

import math
import time
from collections.abc import Iterator
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any
from urllib.error import HTTPError


class Failure(StrEnum):
    """What a failed attempt says about the next one."""

    TERMINAL = "terminal"  # it would end the same
    TRANSIENT = "transient"  # it may succeed
    POSTPONED = "postponed"  # it may succeed later: the scorer asked for that, or another run cut this one off
    THROTTLED = "throttled"  # it may succeed later: the provider has said so
    UNAVAILABLE = "unavailable"  # it may succeed once the provider is available again
    UNAUTHORIZED = "unauthorized"  # none will succeed until somebody corrects the credentials, or pays


_BY_STATUS = {
    401: Failure.UNAUTHORIZED,
    402: Failure.UNAUTHORIZED,
    403: Failure.UNAUTHORIZED,
    408: Failure.TRANSIENT,
    409: Failure.TRANSIENT,
    425: Failure.TRANSIENT,
    429: Failure.THROTTLED,
}
_NO_ANSWER = frozenset(
    {
        "APIConnectionError",  # openai, anthropic
        "ClientConnectionError",  # aiohttp
        "ConnectionError",  # built in, requests
        "Timeout",  # requests
        "TimeoutError",  # built in, also asyncio's and socket's
        "TransportError",  # httpx
        "URLError",  # urllib
    }
)
_CAUSES = 4
LONGEST_WAIT = 86_400.0  # seconds; a longer one must be a mistake


def classify(error: BaseException) -> tuple[Failure, float | None]:
    """The kind of failure behind a scorer's exception, and the seconds to wait before the next attempt, if it says so.

    Its causes (`raise … from error`) are searched too, the nearest first.
    """
    for cause in _causes(error):
        status = _status(cause)
        if status is not None:
            return _of_status(status), retry_after(cause)
        if not _NO_ANSWER.isdisjoint(base.__name__ for base in type(cause).__mro__):
            return Failure.UNAVAILABLE, None
    return Failure.TRANSIENT, None


def _of_status(status: int) -> Failure:
    if status >= 500:
        return Failure.UNAVAILABLE
    return _BY_STATUS.get(status, Failure.TERMINAL)


def retry_after(error: BaseException, now: float | None = None) -> float | None:
    """Seconds that the response behind an exception asks to wait, from its headers; None if it does not say."""
    for headers in (_attribute(error, "headers"), _attribute(_attribute(error, "response"), "headers")):
        in_ms = _seconds(_header(headers, "Retry-After-Ms"))
        if in_ms is not None:
            return min(in_ms / 1000, LONGEST_WAIT)
        value = _header(headers, "Retry-After")
        if value is not None:
            seconds = _seconds(value)
            if seconds is None:
                seconds = _until(value, time.time() if now is None else now)
            if seconds is not None:
                return min(seconds, LONGEST_WAIT)
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    for _ in range(_CAUSES):
        if cause is None:
            return
        yield cause
        cause = cause.__cause__


def _status(error: BaseException) -> int | None:
    if isinstance(error, HTTPError):
        return error.code
    response = _attribute(error, "response")
    for holder, name in ((error, "status_code"), (error, "status"), (response, "status_code"), (response, "status")):
        status = _attribute(holder, name)
        if isinstance(status, int) and 400 <= status <= 599:
            return status
    return None


def _attribute(holder: object, name: str) -> Any:
    try:
        return getattr(holder, name, None)
    except Exception:  # a property of a user's class may raise anything
        return None


def _header(headers: Any, name: str) -> str | None:
    for spelling in (name, name.lower()):
        try:
            value = headers.get(spelling)
        except Exception:  # not a mapping
            return None
        if value is not None:
            return str(value)
    return None


def _seconds(text: str | None) -> float | None:
    try:
        seconds = float(text or "")
    except ValueError:
        return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _until(text: str, now: float) -> float | None:
    """Seconds until an HTTP date."""
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # the latter for a year of ten digits
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, date.timestamp() - now)
