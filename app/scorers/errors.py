"""Why a scorer gave no score: a type, a sentence for the user, and whether another attempt may succeed."""

import math
import traceback
from contextlib import suppress
from functools import cached_property
from typing import Self

from app.scorers.failures import LONGEST_WAIT, Failure, classify
from app.texts import shorten

_MESSAGE_CHARACTERS = 1_000
_TRACEBACK_CHARACTERS = 4_096
_TRACEBACK_FRAMES = 20


class ScorerError(Exception):
    """Base of every way in which running a scorer fails."""

    type: str = "scorer_error"
    failure: Failure = Failure.TRANSIENT
    retry_after: float | None = None
    """Seconds to wait before the next attempt, if the provider or the scorer named some."""

    traceback: str | None = None
    raw: str | None = None
    """What came instead of a judgement, if anything did."""

    @cached_property
    def message(self) -> str:
        """A sentence for the user."""
        return str(self)

    @property
    def retryable(self) -> bool:
        """Whether another attempt may succeed."""
        return self.failure is not Failure.TERMINAL


class MissingInput(ScorerError):
    """The call lacks an argument that the scorer needs."""

    type = "missing_input"
    failure = Failure.TERMINAL


class InvalidOutput(ScorerError):
    """The scorer returned what is not JSON, or too large."""

    type = "invalid_output"
    failure = Failure.TERMINAL


class RetryLater(ScorerError):
    """Raised by a scorer that cannot score now, to be tried again in `after` seconds.

    It does not count as an attempt, but its time counts against the task's time budget.

    Raises:
        ValueError: `after` is negative or not finite.
    """

    type = "retry_later"
    failure = Failure.POSTPONED

    def __init__(self, after: float = 0.0, message: str = "") -> None:
        if not (math.isfinite(after) and after >= 0):
            raise ValueError(f"RetryLater takes the seconds to wait, not {after!r}.")
        super().__init__(after, message)
        self.retry_after = min(float(after), LONGEST_WAIT)
        self.message = message or f"The scorer asked to be tried again in {after:g} s."

    def __str__(self) -> str:
        return self.message


class NoJudgement(ScorerError):
    """A judge gave no judgement."""

    def __init__(
        self,
        type: str,
        message: str,
        failure: Failure = Failure.TERMINAL,
        *,
        retry_after: float | None = None,
        raw: str | None = None,
    ) -> None:
        super().__init__(type, message)
        self.type = type
        self.message = message
        self.failure = failure
        self.retry_after = retry_after
        self.raw = raw

    def __str__(self) -> str:
        return self.message


RAISED_BY_SCORERS = (MissingInput, InvalidOutput, RetryLater, NoJudgement)
"""What a scorer may raise to determine how its attempt fails; anything else becomes a ScorerRaised."""


class ScorerTimeout(ScorerError):
    """The scorer ran longer than its time-out."""

    type = "scorer_timeout"


class RequestHeldBack(ScorerTimeout):
    """A request of it had to wait for the log until its time-out, so it does not count against this one."""

    failure = Failure.POSTPONED


class ScorerDied(ScorerError):
    """The scorer's process, a worker process or a host, ended before the scorer did."""

    type = "scorer_died"


class BystanderDied(ScorerDied):
    """Another run ended the process, so it does not count against this one."""

    failure = Failure.POSTPONED


class ScorerVersionUnavailable(ScorerError):
    """The process has other code than the scorer's digest names."""

    type = "scorer_version_unavailable"


class ScorerRaised(ScorerError):
    """The scorer raised. `type` is the name of the exception's class; `traceback` starts at the scorer's own frames."""

    traceback: str

    def __init__(self, type_name: str, message: str, traceback: str) -> None:
        super().__init__(type_name, message, traceback)
        self.type = type_name
        self.message = message
        self.traceback = traceback

    def __str__(self) -> str:
        return f"{self.type}: {self.message}" if self.message else self.type

    @classmethod
    def of(cls, error: BaseException) -> Self:
        """Describe `error`, caught in the frame that called the scorer. No method of its class can make this fail."""
        own_frames = error.__traceback__.tb_next if error.__traceback__ else None
        try:
            message = str(error)
        except Exception:
            message = "(its message could not be read)"
        try:
            lines = traceback.format_exception(type(error), error, own_frames, limit=-_TRACEBACK_FRAMES)
            text = "".join(lines)
        except Exception:
            text = "(its traceback could not be read)"
        message, text = shorten(message, _MESSAGE_CHARACTERS), shorten(text, _TRACEBACK_CHARACTERS)
        raised = cls(type(error).__name__, message, text)
        with suppress(Exception):  # its attributes may be code of its class
            raised.failure, raised.retry_after = classify(error)
        return raised


def portable(error: ScorerError) -> ScorerError:
    """A copy made of nothing but texts and numbers, so that another process can unpickle it."""
    try:
        return _copy(error)
    except Exception as odd:
        return ScorerRaised.of(odd)


def _copy(error: ScorerError) -> ScorerError:
    after = None if error.retry_after is None else RetryLater(float(error.retry_after)).retry_after
    message = _text(error.message)
    if isinstance(error, ScorerRaised):
        raised = ScorerRaised(_text(error.type), message, _text(error.traceback))
        raised.failure, raised.retry_after = Failure(error.failure), after
        return raised
    if isinstance(error, RetryLater):
        return RetryLater(after or 0.0, message)
    for plain in (MissingInput, InvalidOutput, ScorerTimeout, ScorerDied, ScorerVersionUnavailable):
        if type(error) is plain:
            return plain(message)
    raw = None if error.raw is None else _text(error.raw)
    return NoJudgement(_text(error.type), message, Failure(error.failure), retry_after=after, raw=raw)


def _text(value: object) -> str:
    """A plain str: a subclass would be pickled by the name of its class."""
    return str.__str__(str(value))
