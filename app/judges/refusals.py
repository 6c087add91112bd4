"""What an HTTP error of an endpoint means for the task."""

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
    """An answer with an error status, or with a redirect, which is not followed."""

    status = 0


def refused(who: str, error: Any, status: int, words: object, key: str | None) -> Refused:
    """The error for an HTTP client's exception, with the `words` of the answer, but without the key that was sent."""
    failure, retry_after = classify(error)
    if status < 400:
        failure = Failure.TERMINAL
    detail = f": {words}" if isinstance(words, str) and words else ""
    message = f"{who} answered {status}{detail}"
    if key:
        message = message.replace(key, "…")
    type_ = "provider_payment_required" if status == 402 else _TYPES.get(failure, "provider_refused")
    found = Refused(type_, message[:_MESSAGE_CHARACTERS], failure, retry_after=retry_after)
    found.status = status
    return found
