"""Why a scorer gave no score. An error has a `type` for the record, a sentence, and what it says about trying again."""

import math
import traceback
from contextlib import suppress
from typing import Self

from app.scorers.failures import LONGEST_WAIT, Failure, classify

_MESSAGE_CHARACTERS = 1_000
_TRACEBACK_CHARACTERS = 4_096
_TRACEBACK_FRAMES = 20


class ScorerError(Exception):
    """Base of every way in which running a scorer fails. `str()` is a sentence for the user."""

    type: str = "scorer_error"
    failure: Failure = Failure.TRANSIENT
    retry_after: float | None = None
    """Seconds that the next attempt has to wait, if whoever was asked said so."""

    @property
    def retryable(self) -> bool:
        """Whether another attempt may succeed."""
        return self.failure is not Failure.TERMINAL


class MissingInput(ScorerError):
    """The call lacks an argument that the scorer needs. Another attempt would see the same call."""

    type = "missing_input"
    failure = Failure.TERMINAL


class InvalidOutput(ScorerError):
    """The scorer returned what is not JSON, or too much of it."""

    type = "invalid_output"
    failure = Failure.TERMINAL


class RetryLater(ScorerError):
    """Raised by a scorer that cannot score now, and that is to be tried again in `after` seconds.

    It does not count as one of the attempts that a task has, only against its budget in time.

    Raises:
        ValueError: `after` is no finite number of seconds from 0 on.
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
    """Whoever was asked to judge gave no judgement. `raw` is what came instead, where something did."""

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


SAID_BY_SCORERS = (MissingInput, InvalidOutput, RetryLater, NoJudgement)
"""What a scorer may raise to say how its attempt ended; anything else that it raises is described by ScorerRaised."""


class ScorerTimeout(ScorerError):
    """The scorer ran longer than its time-out."""

    type = "scorer_timeout"


class ScorerDied(ScorerError):
    """The process that the scorer ran in, a worker process or a host, ended before it answered."""

    type = "scorer_died"


class BystanderDied(ScorerDied):
    """The process ended through another run in it, which is not held against this one."""

    failure = Failure.POSTPONED


class ScorerVersionUnavailable(ScorerError):
    """Its process would run other code than the one the scorer's digest names."""

    type = "scorer_version_unavailable"


class ScorerRaised(ScorerError):
    """The scorer raised. `type` is the name of the exception's class; `traceback` starts at the scorer's own frames.

    It is pickled with its attributes, so that what the exception said survives the way from a worker process.
    """

    def __init__(self, type_name: str, message: str, traceback: str) -> None:
        super().__init__(type_name, message, traceback)
        self.type = type_name
        self.message = message
        self.traceback = traceback

    def __str__(self) -> str:
        return f"{self.type}: {self.message}" if self.message else self.type

    @classmethod
    def of(cls, error: BaseException) -> Self:
        """Describe `error`, caught in the very frame that called the scorer, whatever code its class has."""
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
        message, text = _shorten(message, _MESSAGE_CHARACTERS), _shorten(text, _TRACEBACK_CHARACTERS)
        raised = cls(type(error).__name__, message, text)
        with suppress(Exception):  # what an exception carries is code of its class
            raised.failure, raised.retry_after = classify(error)
        return raised


def portable(error: ScorerError) -> ScorerError:
    """The same, made anew of texts and numbers alone, so that another process can make it of what pickle writes."""
    try:
        return _made_anew(error)
    except Exception as odd:
        return ScorerRaised.of(odd)


def _made_anew(error: ScorerError) -> ScorerError:
    after = None if error.retry_after is None else RetryLater(float(error.retry_after)).retry_after
    said = _text(getattr(error, "message", error))
    if isinstance(error, ScorerRaised):
        raised = ScorerRaised(_text(error.type), said, _text(error.traceback))
        raised.failure, raised.retry_after = Failure(error.failure), after
        return raised
    if isinstance(error, RetryLater):
        return RetryLater(after or 0.0, said)
    for plain in (MissingInput, InvalidOutput, ScorerTimeout, ScorerDied, ScorerVersionUnavailable):
        if type(error) is plain:
            return plain(said)
    raw = getattr(error, "raw", None)
    return NoJudgement(
        _text(error.type),
        said,
        Failure(error.failure),
        retry_after=after,
        raw=None if raw is None else _text(raw),
    )


def _text(value: object) -> str:
    """As a plain str: that of a subclass would be pickled with the name of its class."""
    return str.__str__(str(value))


def _shorten(text: str, characters: int) -> str:
    # A lone surrogate could not be written to the log.
    text = text.encode("utf-8", "backslashreplace").decode()
    if len(text) <= characters:
        return text
    half = (characters - 5) // 2
    return f"{text[:half]}\n...\n{text[-half:]}"
