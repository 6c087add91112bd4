"""What an HTTP error of an endpoint means for the task."""

from collections.abc import Collection
from typing import Any

import orjson

from app.scorers import Failure, NoJudgement
from app.scorers.failures import classify

_READ_CHARACTERS = 4_000
_MESSAGE_CHARACTERS = 500
_TYPES = {
    Failure.UNAUTHORIZED: "provider_unauthorized",
    Failure.THROTTLED: "provider_throttled",
    Failure.UNAVAILABLE: "provider_unavailable",
    Failure.TRANSIENT: "provider_unavailable",
}


class HttpError(NoJudgement):
    """An answer with an error status, or with a redirect, which is not followed."""

    status = 0


def http_error(who: str, error: Any, status: int, body: bytes, secrets: Collection[str]) -> HttpError:
    """The error for an HTTP client's exception, with what the body says, but without any of the secrets."""
    failure, retry_after = classify(error)
    if status < 400:
        failure = Failure.TERMINAL
    detail = _detail(body, secrets)
    message = f"{who} answered {status}{detail and f': {detail}'}"
    type_ = "provider_payment_required" if status == 402 else _TYPES.get(failure, "provider_refused")
    found = HttpError(type_, message[:_MESSAGE_CHARACTERS], failure, retry_after=retry_after)
    found.status = status
    return found


def _detail(body: bytes, secrets: Collection[str]) -> str:
    """What an error says, on one line: its message if it is JSON with one, else its text unless that is HTML."""
    text = _message(body) or body.decode("utf-8", "replace")
    for secret in secrets:
        text = text.replace(secret, "…")
    text = " ".join(text[:_READ_CHARACTERS].split())
    return "" if text.startswith("<") else "".join(filter(str.isprintable, text))


def _message(body: bytes) -> str | None:
    """The message in `{"error": {"message": …}}`, as of OpenAI, in a list of these, as of Gemini, or in a part of it.

    FastAPI has it in `detail`.
    """
    try:
        answer = orjson.loads(body)
        error = answer[0] if isinstance(answer, list) else answer
        error = error.get("error", error)
        message = (error.get("message") or error.get("detail")) if isinstance(error, dict) else error
    except (ValueError, LookupError, AttributeError):
        return None
    return message if isinstance(message, str) else None
