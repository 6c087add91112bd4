"""Scores: one row a task that has been terminal, with its newest outcome and the rounds before it."""

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel

from app import ids
from app.events import Error, ScoreFailed, ScoreSucceeded
from tables.base import Table

table = Table("scores")

Status = Literal["succeeded", "failed", "cancelled"]


class PastRound(BaseModel):
    """How an earlier round of the task ended."""

    round: int
    status: Status
    attempts: int
    error: Error | None = None
    at: float


class Row(BaseModel):
    """The newest outcome of a task. `output` means something only where `status` is succeeded."""

    offset: int
    status: Status
    round: int
    attempts: int
    output: Any = None
    error: Error | None = None
    at: float
    op_name: str | None = None
    lineage: dict[str, Any] = {}
    past: list[PastRound] = []

    def status_of(self, round_number: int) -> Status:
        """How the round ended, for a round up to this one."""
        return next((past.status for past in self.past if past.round == round_number), self.status)


def fold(row: Row | None, event: ScoreSucceeded | ScoreFailed, offset: int) -> Row:
    """The row after a terminal event: the first terminal event of a round wins."""
    if row is not None and (row.offset >= offset or row.round >= event.round):
        return row
    past = []
    if row is not None:
        ended = PastRound(round=row.round, status=row.status, attempts=row.attempts, error=row.error, at=row.at)
        past = [*row.past, ended]
    succeeded = isinstance(event, ScoreSucceeded)
    return Row(
        offset=offset,
        status="succeeded" if succeeded else "failed",
        round=event.round,
        attempts=event.attempts,
        output=event.output if isinstance(event, ScoreSucceeded) else None,
        error=event.error if isinstance(event, ScoreFailed) else None,
        at=event.at,
        op_name=event.op_name,
        lineage=event.lineage,
        past=past,
    )


def load(partition: int, key: bytes) -> Row | None:
    value = table.get_row(partition, key)
    return None if value is None else Row.model_validate_json(value)


def save(partition: int, key: bytes, row: Row) -> None:
    table.put_row(partition, key, row.model_dump_json(exclude_defaults=True).encode())


def of_project(
    partition: int, project_id: str, call_id: str | None = None, after: bytes | None = None
) -> Iterator[tuple[bytes, Row]]:
    """(key, row) of a project's scores in this partition, or of one call's, by call id, scorer ref and occasion."""
    prefix = ids.join_key(project_id, *([call_id] if call_id is not None else [])) + ids.SEPARATOR
    for key, value in table.scan(partition, prefix, after):
        yield key, Row.model_validate_json(value)
