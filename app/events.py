"""The log's vocabulary: every event that callscore writes, and how it is written.

An event is a JSON object with its schema version `v` and its `type`. Times are Unix seconds.
"""

from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal, NamedTuple

from msgspec import Meta, field
from msgspec.json import Decoder
from msgspec.structs import force_setattr

from app.scorers import ScorerError
from app.settings import get_settings
from app.structs import Struct
from app.texts import shorten
from app.usage import Usage


class Event(Struct, tag=True, tag_field="type"):
    """What all events have in common; the `type` is the name of the class."""

    v: Literal[1] = 1


# --- calls ---------------------------------------------------------------------------------------


class CallLogged(Event):
    """A part of a call was logged: its start, its end, or all of it at once, in Weave's shape."""

    project_id: str
    call_id: str
    part: Literal["start", "end", "complete"]
    call: dict[str, Any]
    logged_at: float


# --- scorers -------------------------------------------------------------------------------------


WEAVE_OBJECT = "weave_object"  # the kind of Weave's objects that are no scorers here, kept for those that refer to them


class ScorerPublished(Event):
    """A version of a scorer was published: a kind with parameters, under a ref that never changes its meaning."""

    ref: str
    project_id: str | None
    name: str
    kind: str
    params: dict[str, Any]
    digest: str
    description: str = ""
    policy: dict[str, Any] = field(default_factory=dict)  # where it differs from that of its code
    source: dict[str, Any] | None = None  # Weave's object that it was made of, as `val`
    published_by: str | None = None
    published_at: float


# Bounds of what a row can hold, whoever wrote the record.
MOST_IN_CHUNK = 10**4
ChunkNumber = Annotated[int, Meta(ge=0, lt=10**8)]
Index = Annotated[int, Meta(ge=0, lt=MOST_IN_CHUNK)]
ControlNumber = Annotated[int, Meta(ge=1, lt=2**32)]
Number = Annotated[int, Meta(ge=0, lt=2**31)]


# --- score-requests ------------------------------------------------------------------------------


class RuleBatch(Struct):
    """What a rule decided about calls of one partition: it sampled those of the chunk, and these it did not."""

    rule_id: str
    set_at: float  # `asked_at` of the revision that decided
    sampled_out: Annotated[list[str], Meta(max_length=MOST_IN_CHUNK)]
    open_until: float  # when its request takes no more calls


class ScoreRequested(Event):
    """One chunk of a request: calls of one partition, to be scored by every ref."""

    request_id: str
    chunk: ChunkNumber
    project_id: str
    call_ids: Annotated[list[str], Meta(max_length=MOST_IN_CHUNK)]
    scorer_refs: Annotated[list[str], Meta(max_length=MOST_IN_CHUNK)]
    occasion: str = ""
    requested_at: float
    rule: RuleBatch | None = None  # if a rule made it


class RequestClaimed(Event):
    """A request under an `Idempotency-Key` is about to be written: the first claim of a request id wins.

    Everybody who sends the same body writes the same chunks and header, made from that claim.
    """

    request_id: str
    body: str | None  # digest of the HTTP body
    scorer_refs: list[str]
    requested_by: str | None
    requested_at: float


class RequestAccepted(Event):
    """A request's header, written last: all its chunks are in the log.

    That of a rule is written after its first chunk in any partition: others follow, so it counts neither.
    """

    request_id: str
    project_id: str
    scorer_refs: list[str]
    calls: int
    chunks: int
    occasion: str = ""
    requested_by: str | None
    requested_at: float
    body: str | None = None  # digest of the HTTP body, under an `Idempotency-Key`
    rule_id: str | None = None
    open_until: float | None = None  # as in RuleBatch


RequestEvent = ScoreRequested | RequestClaimed | RequestAccepted


# --- score-events --------------------------------------------------------------------------------


class Target(NamedTuple):
    """The place in a request where a task's outcome is counted."""

    request_id: str
    chunk: ChunkNumber
    scorer: Index  # into the chunk's scorer_refs
    call: Index  # into the chunk's call_ids
    opened: int = 0  # how often a retry had reopened it when it was taken up (see tables/progress)


class Error(Struct, omit_defaults=True):
    """Why an attempt or a task failed; texts that are too long are shortened.

    Raises:
        TypeError: a field is not a string.
    """

    type: str
    message: str
    traceback: str | None = None
    raw: str | None = None  # what a judge answered

    def __post_init__(self) -> None:
        for name, most in _MOST_OF_ERROR.items():
            if (text := getattr(self, name)) is not None:
                if not isinstance(text, str):
                    raise TypeError(f"of an error, {text!r:.100} is no text")
                force_setattr(self, name, shorten(text, most))

    @classmethod
    def of(cls, error: ScorerError) -> "Error":
        """The error that an attempt ended with, without keys of providers, which an answer or a traceback may have."""
        secrets = [secret for provider in get_settings().providers.values() for secret in provider.secrets]
        texts = {"message": error.message, "traceback": error.traceback, "raw": error.raw}
        return cls(type=error.type, **{name: _without(secrets, text) for name, text in texts.items()})


def _without(secrets: Iterable[str], text: Any) -> Any:
    if isinstance(text, str):
        for secret in secrets:
            text = text.replace(secret, "…")
    return text


_MOST_OF_ERROR = {"type": 200, "message": 1000, "traceback": 4096, "raw": 4096}


class TaskEvent(Event):
    """What happened to one task (call × scorer × occasion) in one round."""

    project_id: str
    call_id: str
    scorer_ref: str
    occasion: str = ""
    round: Number = 1
    attempts: Number = 0  # attempts made so far in this round, this one included
    targets: list[Target]
    parked: bool = False  # it had a row in tables/tasks, which its end takes away
    at: float
    earlier: Usage | None = None  # by earlier attempts of this round; None if no provider was asked
    spent: Usage | None = None  # by the attempt whose outcome this is
    day: int | None = None  # when the day began on which `spent` counts, Unix seconds; None if nobody was asked


ParkReason = Literal["waiting_for_call", "scorer_version_unavailable"]


class TaskWaits(TaskEvent):
    """The task is parked for these `targets` and those it was parked for already, without those `withdrawn`."""

    withdrawn: list[Target] = field(default_factory=list)


class TaskParked(TaskWaits):
    """The task cannot run yet: it waits for its call, or for code of its scorer, at most until `until`."""

    reason: ParkReason
    until: float
    excused: int = 0  # as in AttemptFailed; its time budget starts again, since waiting is not trying


class TaskJoined(TaskEvent):
    """Further requests named a task that is parked, or that failed after they were accepted: they share its outcome."""


class AttemptFailed(TaskWaits):
    """An attempt failed for a reason that may pass; the next one starts at `next_at`."""

    error: Error
    next_at: float
    excused: int = 0  # attempts so far that do not count
    trying_since: float | None = None  # start of the time budget; None if it has not started
    failing_since: float | None = None  # when the first attempt in this round failed


class ProviderAsked(TaskEvent):
    """A request to a provider is about to be sent. Without an outcome it was cut off, and may have cost something."""


class ScoreSucceeded(TaskEvent):
    """The task's scorer returned `output` (any JSON value). Terminal for its round."""

    output: Any
    op_name: str | None = None
    lineage: dict[str, Any] = field(default_factory=dict)


class ScoreFailed(TaskEvent):
    """The task will not be attempted again in this round. Terminal for its round."""

    error: Error
    op_name: str | None = None
    lineage: dict[str, Any] = field(default_factory=dict)


class ScoreCancelled(TaskEvent):
    """Every request for the task was cancelled. Terminal for its round."""

    op_name: str | None = None
    lineage: dict[str, Any] = field(default_factory=dict)


class TaskWithdrawn(TaskEvent):
    """Some requests for a parked task were cancelled, with these `targets`; others still want it."""


class TasksReused(Event):
    """A request named tasks that had succeeded before: `calls` are indices into its chunk."""

    request_id: str
    chunk: ChunkNumber
    scorer: Index
    calls: list[Index]
    at: float


class TasksCancelled(Event):
    """A request was cancelled, so all tasks of a chunk × scorer that have not ended are. Once for each `control`."""

    request_id: str
    chunk: ChunkNumber
    scorer: Index
    calls: Index  # how many the chunk has
    control: ControlNumber  # the number of the control among those of its request, from 1 on
    at: float


class TasksReopened(Event):
    """A request is retried, so these tasks of a chunk × scorer are queued again. Once for each `control`."""

    request_id: str
    chunk: ChunkNumber
    scorer: Index
    statuses: list[Literal["failed", "cancelled"]]
    calls: list[Index] | None  # indices into the chunk; None: all
    control: ControlNumber
    at: float


OfTask = (
    TaskParked
    | TaskJoined
    | TaskWithdrawn
    | ProviderAsked
    | AttemptFailed
    | ScoreSucceeded
    | ScoreFailed
    | ScoreCancelled
)
OfChunk = TasksReused | TasksCancelled | TasksReopened
ScoreEvent = OfTask | OfChunk


class ScoreEvents(Event):
    """One record of `score-events`: what happened to tasks of one partition, in order.

    Tasks that finish together share a record, since a record costs more than an event in it.
    """

    events: list[ScoreEvent]

    @staticmethod
    def join(events: Iterable[bytes]) -> bytes:
        """The record of encoded events."""
        return b'{"v":1,"type":"ScoreEvents","events":[' + b",".join(events) + b"]}"


# --- controls --- (a copy of each in every partition) -------------------------------------------


class RequestCancelled(Event):
    """A request is to be cancelled: its tasks that have not ended."""

    control_id: str
    request_id: str
    asked_by: str | None
    asked_at: float


class RequestRetried(Event):
    """Tasks of a request that ended with these statuses are to be tried again; None: of any scorer, or error type."""

    control_id: str
    request_id: str
    statuses: list[Literal["failed", "cancelled"]]
    scorer_refs: list[str] | None = None
    error_types: list[str] | None = None
    asked_by: str | None
    asked_at: float


Control = RequestCancelled | RequestRetried


class RuleSet(Event):
    """From `asked_at` on, calls of a project that a rule matches, or a share of them, are scored as they are logged."""

    control_id: str
    rule_id: str
    project_id: str
    name: str
    scorer_refs: list[str]
    where: dict[str, Any]  # conditions on a call: see app/rules
    sample_rate: float
    status: Literal["active", "paused", "removed"]
    only_status: bool = False  # else what is set at the same moment would be undone
    asked_by: str | None
    asked_at: float


# --- dead-letters --------------------------------------------------------------------------------

BuryReason = Literal["undecodable", "unknown_version", "call_rewritten", "call_too_large"]


class DeadLetter(Event):
    """A record that could not be processed, and why; in JSON its bytes are base64, null where there were none."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    left_out: bool = False  # the value, which is too large for a letter; the log still has it
    reason: str  # a BuryReason, or one of a later version
    detail: str
    logged_at: float | None = None  # when the record was appended
    redrive_of: str | None = None  # id of the letter whose record was tried again
    at: float


class LetterRedriven(Event):
    """The record of a dead letter is to be tried again; the first order for a letter counts."""

    letter_id: str
    asked_by: str | None
    asked_at: float


class LetterDismissed(Event):
    """A dead letter is to be closed without trying its record again; the first order for a letter counts."""

    letter_id: str
    asked_by: str | None
    asked_at: float


LetterOrder = LetterRedriven | LetterDismissed
LetterEvent = DeadLetter | LetterOrder


# --- weave ---------------------------------------------------------------------------------------


class FileKept(Event):
    """Weave's SDK sent a file, such as the source of an op; in JSON its bytes are base64."""

    project_id: str
    digest: str
    content: bytes


class FeedbackGiven(Event):
    """Feedback on what a ref names, in Weave's shape: a reaction, a note, a score of somebody's own."""

    project_id: str
    weave_ref: str
    feedback_id: str
    feedback: dict[str, Any]  # the row, as Weave's views show it


class FeedbackPurged(Event):
    """Feedback is withdrawn."""

    project_id: str
    weave_ref: str
    feedback_id: str
    purged_by: str | None
    purged_at: float


WeaveEvent = FileKept | FeedbackGiven | FeedbackPurged

decode_call = Decoder(CallLogged).decode
decode_scorer = Decoder(ScorerPublished).decode
decode_request: Callable[[bytes], RequestEvent] = Decoder(RequestEvent).decode
decode_score_events = Decoder(ScoreEvents).decode
decode_control: Callable[[bytes], Control | RuleSet] = Decoder(Control | RuleSet).decode
decode_letter: Callable[[bytes], LetterEvent] = Decoder(LetterEvent).decode
decode_weave: Callable[[bytes], WeaveEvent] = Decoder(WeaveEvent).decode
