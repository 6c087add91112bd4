"""A task (call × scorer), and the table of those that are parked: one row each, until the task is terminal."""

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from msgspec.json import Decoder

from app.events import AttemptFailed, Error, Target, TaskJoined, TaskParked, TaskWithdrawn
from app.structs import Struct
from app.usage import Usage, total_usage
from tables.base import Rows, Table

table = Table("tasks")


@dataclass(slots=True)
class Task:
    """One call × scorer on its way to an outcome, which counts in each of its `targets`."""

    partition: int
    key: bytes
    project_id: str
    call_id: str
    scorer_ref: str
    occasion: str
    targets: list[Target]
    round: int = 1
    attempts: int = 0  # made so far in this round
    due: float | None = None  # until when it waits; None if it has not begun to
    waits_for: str | None = None  # why it waits until then
    parked: bool = False  # it has a row in this table
    excused: int = 0  # attempts that do not count
    trying_since: float | None = None  # when its time budget began to run
    failing_since: float | None = None  # when the first attempt in this round failed
    earlier: Usage | None = None  # what its attempts in this round used so far
    requested_at: float = math.inf  # by the request whose lane it was taken from

    def facts(self, targets: list[Target] | None = None) -> dict[str, Any]:
        """The fields that every event of the task has; `targets` are all of its own if not given."""
        return {
            "project_id": self.project_id,
            "call_id": self.call_id,
            "scorer_ref": self.scorer_ref,
            "occasion": self.occasion,
            "round": self.round,
            "attempts": self.attempts,
            "targets": self.targets if targets is None else targets,
            "parked": self.parked,
            "at": time.time(),
            "earlier": self.earlier,
        }


class Row(Struct):
    """A parked task: what is needed to resume it."""

    offset: int
    project_id: str
    call_id: str
    scorer_ref: str
    occasion: str
    round: int
    attempts: int
    targets: list[Target]
    status: Literal["waiting_for_call", "retrying"]
    reason: str
    since: float  # when the task began to wait
    due: float  # when it is resumed, or fails for having waited too long
    error: Error | None = None
    excused: int = 0  # attempts that do not count
    trying_since: float | None = None  # when its time budget began to run
    failing_since: float | None = None  # when the first attempt in this round failed
    spent: Usage | None = None  # what its attempts in this round used so far


_decode = Decoder(Row).decode


def unpark(partition: int, key: bytes, row: Row) -> Task:
    """The task of a row, ready to be resumed."""
    waits = row.status == "waiting_for_call"
    return Task(
        partition,
        key,
        row.project_id,
        row.call_id,
        row.scorer_ref,
        row.occasion,
        list(row.targets),
        row.round,
        row.attempts,
        row.due if waits else None,
        row.reason if waits else None,
        parked=True,
        excused=row.excused,
        trying_since=row.trying_since,
        failing_since=row.failing_since,
        earlier=row.spent,
    )


def park(row: Row | None, event: TaskParked | AttemptFailed, offset: int) -> Row:
    """The row after the task began to wait. An event of an earlier attempt than the row's changes nothing.

    Its time does not matter: the clock may have been set back, and that of another worker may be behind.
    """
    if row is not None and (row.offset >= offset or (event.round, event.attempts) < (row.round, row.attempts)):
        return row
    joined = [*row.targets, *event.targets] if row is not None and row.round == event.round else event.targets
    if isinstance(event, AttemptFailed):
        waits: dict[str, Any] = {
            "status": "retrying",
            "reason": event.error.type,
            "error": event.error,
            "due": event.next_at,
            "trying_since": event.trying_since,
            "failing_since": event.failing_since,
        }
    else:
        waits = {"status": "waiting_for_call", "reason": event.reason, "due": event.until}
    return Row(
        offset=offset,
        project_id=event.project_id,
        call_id=event.call_id,
        scorer_ref=event.scorer_ref,
        occasion=event.occasion,
        round=event.round,
        attempts=event.attempts,
        targets=[target for target in dict.fromkeys(joined) if target not in event.withdrawn],
        since=event.at,
        excused=event.excused,
        spent=total_usage(event.earlier, event.spent),
        **waits,
    )


def join(row: Row, event: TaskJoined, offset: int) -> Row:
    """The row after further requests joined it."""
    if row.offset >= offset:
        return row
    return row.replace(offset=offset, targets=list(dict.fromkeys([*row.targets, *event.targets])))


def withdraw(row: Row, event: TaskWithdrawn, offset: int) -> Row:
    """The row without the targets of requests that were cancelled."""
    if row.offset >= offset:
        return row
    remaining = [target for target in row.targets if target not in event.targets]
    return row.replace(offset=offset, targets=remaining)


def load(partition: int, key: bytes) -> Row | None:
    return table.load(partition, key, _decode)


def encode_all(rows: Mapping[bytes, Row | None]) -> Rows:
    """Rows as they are stored; None deletes one."""
    return [(key, None if row is None else row.encode()) for key, row in rows.items()]


def parked(partition: int, prefix: bytes = b"", after: bytes | None = None) -> Iterator[tuple[bytes, Row]]:
    """(key, row) of the parked tasks of this partition whose key starts with `prefix`, after the key `after`."""
    for key, value in table.scan(partition, prefix, after):
        yield key, _decode(value)
