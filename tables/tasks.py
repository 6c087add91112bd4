"""Parked tasks: one row a task that waits, for its call or for its next attempt. Gone once the task is terminal."""

from collections.abc import Iterator, Mapping
from typing import Literal

from msgspec.json import Decoder

from app.events import AttemptFailed, Error, Target, TaskJoined, TaskParked, TaskWithdrawn
from app.spent import Spent, spent_in_all
from app.structs import Struct
from tables.base import Rows, Table

table = Table("tasks")


class Row(Struct):
    """What is needed to take the task up again."""

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
    due: float  # when it is taken up again, or given up waiting
    error: Error | None = None
    excused: int = 0  # attempts that do not count
    trying_since: float | None = None  # from when on its budget in time runs
    spent: Spent | None = None  # what its attempts in this round took so far


_decode = Decoder(Row).decode


def park(row: Row | None, event: TaskParked | AttemptFailed, offset: int) -> Row:
    """The row after the task began to wait. What is older than the row changes nothing."""
    if row is not None and (
        row.offset >= offset or (event.round, event.attempts, event.at) < (row.round, row.attempts, row.since)
    ):
        return row
    joined = [*row.targets, *event.targets] if row is not None and row.round == event.round else event.targets
    retrying = isinstance(event, AttemptFailed)
    return Row(
        offset=offset,
        project_id=event.project_id,
        call_id=event.call_id,
        scorer_ref=event.scorer_ref,
        occasion=event.occasion,
        round=event.round,
        attempts=event.attempts,
        targets=[target for target in dict.fromkeys(joined) if target not in event.withdrawn],
        status="retrying" if retrying else "waiting_for_call",
        reason=event.error.type if isinstance(event, AttemptFailed) else event.reason,
        error=event.error if isinstance(event, AttemptFailed) else None,
        since=event.at,
        due=event.next_at if isinstance(event, AttemptFailed) else event.until,
        excused=event.excused,
        trying_since=event.trying_since if isinstance(event, AttemptFailed) else None,
        spent=spent_in_all(event.earlier, event.spent),
    )


def join(row: Row, event: TaskJoined, offset: int) -> Row:
    """The row after further requests joined it."""
    if row.offset >= offset:
        return row
    return row.replace(offset=offset, targets=list(dict.fromkeys([*row.targets, *event.targets])))


def withdraw(row: Row, event: TaskWithdrawn, offset: int) -> Row:
    """The row after requests that were cancelled want it no longer."""
    if row.offset >= offset:
        return row
    left = [target for target in row.targets if target not in event.targets]
    return row.replace(offset=offset, targets=left)


def load(partition: int, key: bytes) -> Row | None:
    value = table.get_row(partition, key)
    return None if value is None else _decode(value)


def encode_all(rows: Mapping[bytes, Row | None]) -> Rows:
    """Rows as they are stored; None deletes one."""
    return [(key, None if row is None else row.encode()) for key, row in rows.items()]


def parked(partition: int, prefix: bytes = b"", after: bytes | None = None) -> Iterator[tuple[bytes, Row]]:
    """(key, row) of the parked tasks of this partition whose key starts with `prefix`, from behind `after` on."""
    for key, value in table.scan(partition, prefix, after):
        yield key, _decode(value)
