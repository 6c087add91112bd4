"""Trying a service again, for as long as it is worth it, and what its errors say."""

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from app.client.errors import CommandError
from app.client.text import clean

_FIRST_WAIT = 0.25  # seconds
_LONGEST_WAIT = 5.0


class Patience:
    """How long a client keeps retrying, with growing pauses."""

    def __init__(self, seconds: float, on_wait: Callable[[str], None]) -> None:
        self._seconds = seconds
        self._on_wait = on_wait
        self.renew()

    def renew(self) -> None:
        """Start anew, after an answer."""
        self._give_up = time.monotonic() + self._seconds
        self._wait = _FIRST_WAIT
        self._noted = ""

    def renew_if_long(self, since: float) -> None:
        """Start anew if a stream was open since then for long: there may just have been no event."""
        if time.monotonic() - since > _LONGEST_WAIT:
            self.renew()

    async def spend(self, trouble: CommandError, at_least: float) -> None:
        """Pause for `at_least` so many seconds; raises `trouble` instead when the time is up."""
        pause = max(self._wait * random.uniform(0.75, 1.25), at_least)  # noqa: S311 - jitter, not a secret
        if time.monotonic() + pause > self._give_up:
            raise trouble
        line = f"{str(trouble).rstrip('.')}; trying again for up to {self._seconds:.0f} s."
        if line != self._noted:
            self._on_wait(line)
        self._noted = line
        await asyncio.sleep(pause)
        self._wait = min(self._wait * 2, _LONGEST_WAIT)


def describe(error: BaseException) -> str:
    return clean(str(error) or type(error).__name__, 200)


def retry_after(value: str | None) -> float:
    """Seconds to wait according to the header, in either of its forms; 0 without one."""
    if value is None:
        return 0.0
    if value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return 0.0


def reason_of(answer: bytes, name_of: Callable[[str], str] = str) -> str:
    """The reason in the body of an error: `{"detail": [{"loc", "msg"}]}` or `{"reason"}`.

    `name_of` is how the user knows a place in the request, such as `body.project_id`.
    """
    try:
        value = orjson.loads(answer)
    except orjson.JSONDecodeError:
        return ""
    if not isinstance(value, dict):
        return ""
    detail = value.get("detail", value.get("reason"))
    if isinstance(detail, str):
        return clean(detail, 500).rstrip(".")
    if not isinstance(detail, list):
        return ""
    reasons = [_problem(item, name_of) for item in detail[:3] if isinstance(item, dict)]
    if len(detail) > 3:
        reasons.append(f"and {len(detail) - 3} more")
    return "; ".join(part for part in reasons if part)


def _problem(item: Mapping[str, Any], name_of: Callable[[str], str]) -> str:
    loc = ".".join(str(part) for part in item.get("loc") or ())
    message = str(item.get("msg", "")).rstrip(".")
    return clean(f"{name_of(loc)}: {message}" if loc else message, 500)
