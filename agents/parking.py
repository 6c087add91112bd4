"""When parked tasks are resumed: at their due time, or when what they wait for arrives."""

import asyncio
import heapq
import math
import time
from collections.abc import AsyncIterator, Callable, Iterable
from itertools import islice

from app import ids
from app.slices import Turns
from tables import calls, tasks

BREATH = 128  # tasks between two turns of the event loop
_MOST = 100_000  # due times in memory: 30 MB
_FEW = _MOST // 4  # once so few are left the next ones are read,
_NEAR = 60.0  # but only so many seconds before they are due
_PAUSE = 1.0  # seconds, at most, so that a clock that was set cannot make anything late for longer

_Due = tuple[float, int, bytes]  # when, partition, key
_NEVER: _Due = (math.inf, 0, b"")


class Parking:
    """When the parked tasks on this worker are due; the rows themselves are in tables/tasks.

    Only the earliest due times are in memory: a row's due time is in `_due`, or is `_until` or later, or its task has
    been resumed already. The rows are read again before `_until` comes.
    """

    def __init__(self, resume: Callable[[int, bytes, tasks.Row | None], None]) -> None:
        self._resume = resume  # (partition, key, the row if it was just read)
        self._due: list[_Due] = []  # a heap; tasks that have ended, or are due at another time, stay in it too
        self._until = _NEVER
        self._rows: dict[int, int] = {}  # parked rows by partition, as far as they have been counted
        self._counted_to: dict[int, bytes] = {}  # the last of them, by partition that `load` is at work on
        self._changed = asyncio.Event()

    async def load(self, partition: int) -> None:
        """Read the rows of a partition that was assigned, and resume the tasks that need not wait any more."""
        rows = self._rows
        rows[partition], self._counted_to[partition] = 0, b""
        async for _, page in self._read([partition]):
            for key, row in page:
                self.resume_at(row.due, partition, key)
                if row.reason == "scorer_version_unavailable" or has_call(partition, row):
                    self._resume(partition, key, row)
            rows[partition] += len(page)
            self._counted_to[partition] = page[-1][0]
        if self._rows is rows:
            self._counted_to.pop(partition, None)

    def parked(self, partition: int, key: bytes, row: tasks.Row, new: bool) -> None:
        """A row was put; `new` if there was none before."""
        self._count(partition, key, new)
        self.resume_at(row.due, partition, key)
        if has_call(partition, row):
            # It arrived just before the row was put, when `call_arrived` did not find the task yet.
            self._resume(partition, key, row)

    def removed(self, partition: int, key: bytes, was_there: bool) -> None:
        """A row was deleted, if there was one."""
        self._count(partition, key, -was_there)

    def any(self, partition: int) -> bool:
        """Whether there may be parked rows in a partition that is open."""
        return partition in self._counted_to or self._rows.get(partition, 0) > 0

    def call_arrived(self, partition: int, call_key: bytes) -> None:
        """Resume the tasks that waited for this call."""
        if self.any(partition):
            for key, row in tasks.parked(partition, call_key + ids.SEPARATOR):
                if row.reason == "waiting_for_call":
                    self._resume(partition, key, row)

    def resume_at(self, due: float, partition: int, key: bytes) -> None:
        """Have a task resumed when it is due."""
        entry = due, partition, key
        if entry >= self._until:
            return
        heapq.heappush(self._due, entry)
        if self._due[0] is entry:
            self._changed.set()
        if len(self._due) > _MOST:
            self._forget_later_half()

    def clear(self) -> None:
        self._due.clear()
        self._until = _NEVER
        self._rows = {}  # a new dict, by which `_read` and `load` notice that they have to end
        self._counted_to.clear()

    async def run(self) -> None:
        """Resume tasks when they are due, for ever."""
        await asyncio.gather(self._resume_due(), self._read_in_time())

    async def _resume_due(self) -> None:
        while True:
            if self._resume_some():
                await asyncio.sleep(0)
                continue
            self._changed.clear()
            pause = min(_PAUSE, self._due[0][0] - time.time()) if self._due else None
            try:
                await asyncio.wait_for(self._changed.wait(), pause)
            except TimeoutError:
                continue

    def _resume_some(self) -> bool:
        """Resume tasks that are due; returns whether there may be more."""
        last = None
        for _ in range(BREATH):
            if not self._due or self._due[0][0] > time.time():
                return False
            entry = heapq.heappop(self._due)
            if entry != last:  # each request that joins a task puts its row once more
                self._resume(*entry[1:], None)
            last = entry
        return True

    async def _read_in_time(self) -> None:
        while True:
            if len(self._due) <= _FEW and self._until[0] <= time.time() + _NEAR:
                await self._read_on()
            else:
                await asyncio.sleep(_PAUSE)

    async def _read_on(self) -> None:
        """Read the rows that are due at `_until` or later, as many as there is room for."""
        begin, self._until = self._until, _NEVER
        async for partition, page in self._read(list(self._rows)):
            for key, row in page:
                if (row.due, partition, key) >= begin:
                    self.resume_at(row.due, partition, key)

    async def _read(self, partitions: Iterable[int]) -> AsyncIterator[tuple[int, list[tuple[bytes, tasks.Row]]]]:
        """Partition, keys and rows of parked tasks, page by page; ends early after `clear`."""
        rows, turns = self._rows, Turns()
        for partition in partitions:
            after = None
            # No iterator may stay open between turns: a store cannot be reopened while one is.
            while page := list(islice(tasks.parked(partition, after=after), BREATH)):
                yield partition, page
                after = page[-1][0]
                await turns.breathe()
                if self._rows is not rows:
                    return

    def _forget_later_half(self) -> None:
        """Forget about half of what is in memory. The cut-off is estimated from samples: sorting all is too slow."""
        samples = sorted(self._due[:: max(1, _MOST // 200)])
        self._until = samples[len(samples) // 2]
        self._due = [entry for entry in self._due if entry < self._until]
        heapq.heapify(self._due)

    def _count(self, partition: int, key: bytes, number: int) -> None:
        """Count a row that was put or deleted, unless `load` has yet to come to its key."""
        if partition in self._rows and key <= self._counted_to.get(partition, key):
            self._rows[partition] += number


def has_call(partition: int, row: tasks.Row) -> bool:
    """Whether a task waits for a call that is there."""
    return (
        row.reason == "waiting_for_call"
        and calls.find(partition, ids.call_key(row.project_id, row.call_id)) is not None
    )
