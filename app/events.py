"""The log's vocabulary: every event that callscore writes, and how it is written.

An event is a JSON object with its schema version `v` and its `type`. Times are Unix seconds.
"""

from base64 import b64decode
from collections.abc import Iterable
from typing import Annotated, Any, Literal, NamedTuple

import orjson
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter

from app.spent import Spent


class Event(BaseModel):
    """What all events have in common."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    v: Literal[1] = 1

    def encode(self) -> bytes:
        return self.__pydantic_serializer__.to_json(self)


# --- calls ---------------------------------------------------------------------------------------


class CallLogged(Event):
    """A part of a call arrived: its start, its end, or all of it at once (Weave's call shape)."""

    type: Literal["CallLogged"] = "CallLogged"
    project_id: str
    call_id: str
    part: Literal["start", "end", "complete"]
    call: dict[str, Any]
    logged_at: float


# --- scorers -------------------------------------------------------------------------------------


class ScorerPublished(Event):
    """A scorer got a name: a kind with parameters, under a ref that never changes its meaning."""

    type: Literal["ScorerPublished"] = "ScorerPublished"
    ref: str
    project_id: str | None
    name: str
    kind: str
    params: dict[str, Any]
    digest: str
    description: str = ""
    policy: dict[str, Any] = {}  # how it is run, where that differs from what its code says
    source: dict[str, Any] | None = None  # Weave's object that it was made of, as `val`
    published_by: str | None = None
    published_at: float


# No more than a row has room for, whoever wrote the record.
MOST_IN_CHUNK = 10**4
ChunkNumber = Annotated[int, Field(ge=0, lt=10**8)]
Index = Annotated[int, Field(ge=0, lt=MOST_IN_CHUNK)]
ControlNumber = Annotated[int, Field(ge=1, lt=2**32)]
Number = Annotated[int, Field(ge=0, lt=2**31)]


# --- score-requests ------------------------------------------------------------------------------


class ScoreRequested(Event):
    """One chunk of a request: calls of one partition, to be scored by every ref."""

    type: Literal["ScoreRequested"] = "ScoreRequested"
    request_id: str
    chunk: ChunkNumber
    project_id: str
    call_ids: Annotated[list[str], Field(max_length=MOST_IN_CHUNK)]
    scorer_refs: Annotated[list[str], Field(max_length=MOST_IN_CHUNK)]
    occasion: str = ""
    requested_at: float


class RequestClaimed(Event):
    """Somebody wants to make a request under an `Idempotency-Key`: the first claim of a request id wins.

    Whoever sends the same body writes the same chunks and header, made from that claim.
    """

    type: Literal["RequestClaimed"] = "RequestClaimed"
    request_id: str
    body: str | None  # the digest of what was sent
    scorer_refs: list[str]
    requested_by: str | None
    requested_at: float


class RequestAccepted(Event):
    """A request's header, written last: all its chunks are in the log."""

    type: Literal["RequestAccepted"] = "RequestAccepted"
    request_id: str
    project_id: str
    scorer_refs: list[str]
    calls: int
    chunks: int
    occasion: str = ""
    requested_by: str | None
    requested_at: float
    body: str | None = None  # the digest of what was sent, if it was sent under an `Idempotency-Key`


RequestEvent = Annotated[ScoreRequested | RequestClaimed | RequestAccepted, Field(discriminator="type")]


# --- score-events --------------------------------------------------------------------------------


class Target(NamedTuple):
    """One place in a request that a task's outcome is counted in."""

    request_id: str
    chunk: ChunkNumber
    scorer: Index  # into the chunk's scorer_refs
    call: Index  # into the chunk's call_ids
    opened: int = 0  # how often a retry had opened it again when it was taken up (see tables/progress)


def _fit(text: Any, most: int) -> Any:
    """`text` so that any log and any reader takes it: without lone surrogates, and cut in the middle if too long.

    What is no text is left to who checks for that.
    """
    if not isinstance(text, str):
        return text
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= most else f"{text[: most // 2]}\n...\n{text[-most // 2 :]}"


class Error(BaseModel):
    """Why an attempt or a task failed; texts from a scorer are made to fit."""

    model_config = ConfigDict(frozen=True)

    type: Annotated[str, BeforeValidator(lambda text: _fit(text, 200))]
    message: Annotated[str, BeforeValidator(lambda text: _fit(text, 1000))]
    traceback: Annotated[str | None, BeforeValidator(lambda text: _fit(text, 4096))] = None
    raw: Annotated[str | None, BeforeValidator(lambda text: _fit(text, 4096))] = None  # what a judge answered


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
    earlier: Spent | None = None  # what earlier attempts of this round took; None: nobody was asked
    spent: Spent | None = None  # what the attempt took whose outcome this is
    day: int | None = None  # of an attempt with `ProviderAsked`: when the day began that it counts for, Unix seconds


ParkReason = Literal["waiting_for_call", "scorer_version_unavailable"]


class TaskWaits(TaskEvent):
    """The task is parked, for its `targets` and those that it was parked for before, but not those `withdrawn`."""

    withdrawn: list[Target] = []


class TaskParked(TaskWaits):
    """The task cannot run yet: it waits until something arrives, at most until `until`."""

    type: Literal["TaskParked"] = "TaskParked"
    reason: ParkReason
    until: float


class TaskJoined(TaskEvent):
    """Further requests named a task that is parked: they share its outcome."""

    type: Literal["TaskJoined"] = "TaskJoined"


class AttemptFailed(TaskWaits):
    """An attempt failed for a reason that may pass: the next one starts at `next_at`."""

    type: Literal["AttemptFailed"] = "AttemptFailed"
    error: Error
    next_at: float
    excused: int = 0  # of the attempts made so far: those that do not count
    trying_since: float | None = None  # from when on the budget in time runs; None if it has not begun


class ProviderAsked(TaskEvent):
    """Somebody is about to be asked: if no outcome follows, that was cut off, and may have cost something."""

    type: Literal["ProviderAsked"] = "ProviderAsked"


class ScoreSucceeded(TaskEvent):
    """The task's scorer returned `output` (any JSON value). Terminal for its round."""

    type: Literal["ScoreSucceeded"] = "ScoreSucceeded"
    output: Any
    op_name: str | None = None
    lineage: dict[str, Any] = {}


class ScoreFailed(TaskEvent):
    """The task will not be attempted again in this round. Terminal for its round."""

    type: Literal["ScoreFailed"] = "ScoreFailed"
    error: Error
    op_name: str | None = None
    lineage: dict[str, Any] = {}


class ScoreCancelled(TaskEvent):
    """No request wants the task any more, so that it was stopped. Terminal for its round."""

    type: Literal["ScoreCancelled"] = "ScoreCancelled"


class TaskWithdrawn(TaskEvent):
    """Requests that were cancelled want a parked task no longer, others do; `targets` are those of the former."""

    type: Literal["TaskWithdrawn"] = "TaskWithdrawn"


def provider_asked(facts: dict[str, Any]) -> bytes:
    """A `ProviderAsked` as `encode` writes it; `facts` are the fields of all task events."""
    return _written(ProviderAsked, facts)


def score_succeeded(
    facts: dict[str, Any],
    output: bytes,
    op_name: str | None,
    lineage: dict[str, Any],
    spent: Spent | None = None,
    day: int | None = None,
) -> bytes:
    """A `ScoreSucceeded` as `encode` writes it: `facts` are the fields of all task events, `output` is JSON.

    Raises:
        TypeError: the lineage is not JSON.
    """
    return _written(
        ScoreSucceeded,
        facts,
        output=orjson.Fragment(output),
        op_name=op_name,
        lineage=lineage,
        spent=spent and spent.model_dump(),
        day=day,
    )


def _written(event: type[TaskEvent], facts: dict[str, Any], **more: Any) -> bytes:
    """An event of a task as JSON. A model that is made only to be encoded took a tenth of the time of scoring."""
    targets: list[Target] = facts["targets"]
    earlier: Spent | None = facts["earlier"]
    plain = {"targets": [tuple(target) for target in targets], "earlier": earlier and earlier.model_dump()}
    return orjson.dumps({"v": 1, "type": event.__name__, **facts, **plain, **more})


class TasksReused(Event):
    """A request named tasks that had succeeded before: `calls` are indices into its chunk."""

    type: Literal["TasksReused"] = "TasksReused"
    request_id: str
    chunk: ChunkNumber
    scorer: Index
    calls: list[Index]
    at: float


class TasksCancelled(Event):
    """A request was cancelled: what has not ended of one chunk × scorer is cancelled in it. Once for each `control`."""

    type: Literal["TasksCancelled"] = "TasksCancelled"
    request_id: str
    chunk: ChunkNumber
    scorer: Index
    calls: Index  # how many the chunk has
    control: ControlNumber  # the number of the control among those of its request, from 1 on
    at: float


class TasksReopened(Event):
    """A request is retried: what ended so of one chunk × scorer is queued again in it. Once for each `control`."""

    type: Literal["TasksReopened"] = "TasksReopened"
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
ScoreEvent = Annotated[OfTask | OfChunk, Field(discriminator="type")]


class ScoreEvents(Event):
    """One record of `score-events`: what happened to tasks of one partition, in order.

    Tasks that finish together share a record, since a record costs more than an event in it.
    """

    type: Literal["ScoreEvents"] = "ScoreEvents"
    events: list[ScoreEvent]

    @staticmethod
    def join(events: Iterable[bytes]) -> bytes:
        """The record of events that are encoded already."""
        return b'{"v":1,"type":"ScoreEvents","events":[' + b",".join(events) + b"]}"


# --- controls --- (a copy of each in every partition) -------------------------------------------


class RequestCancelled(Event):
    """Whoever asked for a request withdraws what has not ended of it."""

    type: Literal["RequestCancelled"] = "RequestCancelled"
    control_id: str
    request_id: str
    asked_by: str | None
    asked_at: float


class RequestRetried(Event):
    """What ended so in a request is to be tried again; None: whatever the scorer, whatever the type of its error."""

    type: Literal["RequestRetried"] = "RequestRetried"
    control_id: str
    request_id: str
    statuses: list[Literal["failed", "cancelled"]]
    scorer_refs: list[str] | None = None
    error_types: list[str] | None = None
    asked_by: str | None
    asked_at: float


Control = RequestCancelled | RequestRetried
ControlEvent = Annotated[Control, Field(discriminator="type")]


# --- dead-letters --------------------------------------------------------------------------------


def _base64(text: str) -> str:
    b64decode(text, validate=True)
    return text


Base64 = Annotated[str, AfterValidator(_base64)]


class DeadLetter(Event):
    """A record that could not be processed, and why; the raw bytes are base64, null where there were none."""

    type: Literal["DeadLetter"] = "DeadLetter"
    topic: str
    partition: int
    offset: int
    key: Base64 | None
    value: Base64 | None
    left_out: bool = False  # the value, which was too large for a letter: the log still has it
    reason: str
    detail: str
    logged_at: float | None = None  # when the record was appended
    redrive_of: str | None = None  # the letter whose record this is, tried again
    at: float


class LetterRedriven(Event):
    """Somebody wants the record of a dead letter tried again; the first order for a letter counts."""

    type: Literal["LetterRedriven"] = "LetterRedriven"
    letter_id: str
    asked_by: str | None
    asked_at: float


LetterEvent = Annotated[DeadLetter | LetterRedriven, Field(discriminator="type")]

letter_events: TypeAdapter[DeadLetter | LetterRedriven] = TypeAdapter(LetterEvent)
control_events: TypeAdapter[Control] = TypeAdapter(ControlEvent)
request_events: TypeAdapter[ScoreRequested | RequestClaimed | RequestAccepted] = TypeAdapter(RequestEvent)
