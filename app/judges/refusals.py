"""What an HTTP error of whoever was asked means for the task."""

from typing import Any

from app.scorers import Failure, NoJudgement
from app.scorers.failures import classify

_MESSAGE_CHARACTERS = 500
_TYPES = {
    Failure.UNAUTHORIZED: "provider_unauthorized",
    Failure.THROTTLED: "provider_throttled",
    Failure.UNAVAILABLE: "provider_unavailable",
    Failure.TRANSIENT: "provider_unavailable",
}


class Refused(NoJudgement):
    """An answer with an error, or with a redirect, which is not followed."""

    status = 0


def refused(who: str, error: Any, status: int, words: object, key: str | None) -> Refused:
    """The error for an HTTP client's exception; `words` are of the answer, the key that was sent is no part of it."""
    failure, retry_after = classify(error)
    if status < 400:
        failure = Failure.TERMINAL
    said = f": {words}" if isinstance(words, str) and words else ""
    message = f"{who} answered {status}{said}"
    if key:
        message = message.replace(key, "…")
    type_ = _TYPES.get(failure, "provider_refused")
    made = Refused(type_, message[:_MESSAGE_CHARACTERS], failure, retry_after=retry_after)
    made.status = status
    return made
