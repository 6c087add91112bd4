"""Where every task of every request stands: one row a request, chunk and scorer, one byte a task.

The row is set, never counted up, so that an event delivered twice changes nothing; counts are made by counting bytes.
"""

import struct
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum

from app import ids
from tables.base import Table

table = Table("progress")
_HEAD = struct.Struct(">qd")


class State(IntEnum):
    """What a task's byte says. What runs right now is only known to the worker that runs it."""

    QUEUED = 0
    WAITING_FOR_CALL = 1
    RETRYING = 2
    PAUSED = 3
    SUCCEEDED = 4
    REUSED = 5  # succeeded, and needed no run
    FAILED = 6
    CANCELLED = 7


TERMINAL = frozenset({State.SUCCEEDED, State.REUSED, State.FAILED, State.CANCELLED})
_IS_TERMINAL = bytes(1 if value in TERMINAL else 0 for value in range(256))


@dataclass(slots=True)
class Row:
    """The states of one chunk × scorer; calls behind the end of `states` are queued."""

    offset: int = -1
    finished_at: float = 0.0  # when the last task became terminal
    states: bytearray = field(default_factory=bytearray)

    def get(self, call: int) -> int:
        return self.states[call] if call < len(self.states) else State.QUEUED

    def set(self, calls: Iterable[int], state: State, at: float) -> int:
        """Set the state of tasks that are not terminal yet; a terminal state stays. Returns how many were queued."""
        queued = 0
        for call in calls:
            if call >= len(self.states):
                self.states.extend(bytes(call + 1 - len(self.states)))
            queued += self.states[call] == State.QUEUED
            if not _IS_TERMINAL[self.states[call]]:
                self.states[call] = state
                if _IS_TERMINAL[state]:
                    self.finished_at = max(self.finished_at, at)
        return queued

    def finished(self) -> int:
        """How many tasks are terminal."""
        return sum(self.states.translate(_IS_TERMINAL))

    def encode(self) -> bytes:
        return _HEAD.pack(self.offset, self.finished_at) + self.states


def decode(value: bytes) -> Row:
    offset, finished_at = _HEAD.unpack_from(value)
    return Row(offset, finished_at, bytearray(value[_HEAD.size :]))


def key(request_id: str, chunk: int, scorer: int) -> bytes:
    return ids.chunk_key(request_id, chunk) + ids.SEPARATOR + b"%04d" % scorer


def load(partition: int, request_id: str, chunk: int, scorer: int) -> Row:
    value = table.get_row(partition, key(request_id, chunk, scorer))
    return Row() if value is None else decode(value)


def save(partition: int, request_id: str, chunk: int, scorer: int, row: Row) -> None:
    table.put_row(partition, key(request_id, chunk, scorer), row.encode())


def counts(rows: Iterable[Row]) -> tuple[Counter[State], float]:
    """How many tasks are in each state, queued ones left out, and when the last one became terminal."""
    total: Counter[State] = Counter()
    finished_at = 0.0
    for row in rows:
        finished_at = max(finished_at, row.finished_at)
        for state in State:
            if state is not State.QUEUED and (number := row.states.count(state)):
                total[state] += number
    return total, finished_at
