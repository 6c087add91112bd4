"""Table of the state of every task in every request: one row a request, chunk and scorer, one byte a task.

States are set and never counted up, so an event delivered twice changes nothing; counts are made by counting bytes. A
terminal state stays until a retry reopens the task. The upper half of its byte counts how often that happened, so that
a late event from before a retry is told from one after it.
"""

import struct
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from app import ids
from app.events import Target
from app.usage import AMOUNTS, Usage
from tables.base import Rows, Table

table = Table("progress")
_HEAD = struct.Struct(">qdI")
_SPENT = struct.Struct(f">{len(AMOUNTS)}Q")
_HAS_SPENT = 1 << 31  # in the number of the last control: a `Usage` stands between head and states


class State(IntEnum):
    """The state in a task's byte. Which tasks run is known only to the worker that runs them."""

    QUEUED = 0
    WAITING_FOR_CALL = 1
    RETRYING = 2
    PAUSED = 3  # never stored: views show it while the scorer of a waiting task is paused
    SUCCEEDED = 4
    REUSED = 5  # succeeded before, so that it was not run
    FAILED = 6
    CANCELLED = 7


TERMINAL = frozenset({State.SUCCEEDED, State.REUSED, State.FAILED, State.CANCELLED})
_IS_TERMINAL = bytes(1 if value & 0x0F in TERMINAL else 0 for value in range(256))
_STATE = bytes(value & 0x0F for value in range(256))
_OPENED = 4  # bits


@dataclass(slots=True)
class Row:
    """The states of one chunk × scorer; calls beyond the end of `states` are queued."""

    offset: int = -1
    finished_at: float = 0.0  # when the last task became terminal
    control: int = 0  # the number of the last control of its request that was applied
    states: bytearray = field(default_factory=bytearray)
    spent: Usage | None = None  # by the attempts at these tasks; None if no provider was asked

    def get(self, call: int) -> State:
        return State(self.states[call] & 0x0F) if call < len(self.states) else State.QUEUED

    def opened(self, call: int) -> int:
        """How often a retry has reopened the task, modulo 16."""
        return self.states[call] >> _OPENED if call < len(self.states) else 0

    def wants(self, call: int, opened: int) -> bool:
        """Whether a task that was taken up after `opened` reopenings is still to be done."""
        return self.opened(call) == opened and self.get(call) not in TERMINAL

    def set(self, calls: Iterable[int], state: State, at: float) -> int:
        """Set the state of those tasks that are not terminal. Returns how many were queued."""
        queued = 0
        for call in calls:
            if call >= len(self.states):
                self.states.extend(bytes(call + 1 - len(self.states)))
            known = self.states[call]
            queued += known & 0x0F == State.QUEUED
            if not _IS_TERMINAL[known]:
                self.states[call] = known & 0xF0 | state
                if _IS_TERMINAL[state]:
                    self.finished_at = max(self.finished_at, at)
        return queued

    def cancel(self, calls: int, control: int, at: float) -> int:
        """Cancel those of the chunk's tasks that are not terminal. Returns how many were queued."""
        if control <= self.control:
            return 0
        self.control = control
        return self.set(range(calls), State.CANCELLED, at)

    def reopen(self, calls: Iterable[int] | None, states: Collection[State], control: int) -> None:
        """Queue the tasks in one of `states` again, of these calls (None: of all)."""
        if control <= self.control:
            return
        self.control = control
        for call in range(len(self.states)) if calls is None else calls:
            if self.get(call) in states:
                self.states[call] = (self.opened(call) + 1 << _OPENED) & 0xF0 | State.QUEUED

    def queued(self, calls: int) -> int:
        """How many of the chunk's calls are queued."""
        return calls - len(self.states) + self.plain().count(State.QUEUED)

    def counts(self) -> Counter[State]:
        """How many tasks are in each state, queued ones left out."""
        states = self.plain()
        return Counter(
            {state: number for state in State if state is not State.QUEUED and (number := states.count(state))}
        )

    def plain(self) -> bytearray:
        """The states without the upper halves of the bytes."""
        return self.states.translate(_STATE)

    def encode(self) -> bytes:
        if self.spent is None:
            return _HEAD.pack(self.offset, self.finished_at, self.control) + self.states
        head = _HEAD.pack(self.offset, self.finished_at, self.control | _HAS_SPENT)
        return head + _SPENT.pack(*(getattr(self.spent, name) for name in AMOUNTS)) + self.states


def decode(value: bytes) -> Row:
    offset, finished_at, control = _HEAD.unpack_from(value)
    if not control & _HAS_SPENT:
        return Row(offset, finished_at, control, bytearray(value[_HEAD.size :]))
    spent = Usage(**dict(zip(AMOUNTS, _SPENT.unpack_from(value, _HEAD.size), strict=True)))
    return Row(offset, finished_at, control ^ _HAS_SPENT, bytearray(value[_HEAD.size + _SPENT.size :]), spent)


def key(request_id: str, chunk: int, scorer: int) -> bytes:
    return ids.chunk_key(request_id, chunk) + ids.SEPARATOR + b"%04d" % scorer


def scorer_of(key: bytes) -> int:
    """The scorer's index in the key of a row."""
    return int(key.rpartition(ids.SEPARATOR)[2])


def load(partition: int, request_id: str, chunk: int, scorer: int) -> Row:
    return table.load(partition, key(request_id, chunk, scorer), decode) or Row()


def is_wanted(partition: int, target: Target) -> bool:
    """Whether the task of a target is still to be done for its request."""
    return load(partition, *target[:3]).wants(target.call, target.opened)


def encode_all(rows: Mapping[tuple[str, int, int], Row], offset: int) -> Rows:
    """Rows as they are stored after the record at `offset`, by request id, chunk and scorer."""
    for row in rows.values():
        row.offset = max(row.offset, offset)
    return [(key(*where), row.encode()) for where, row in rows.items()]
