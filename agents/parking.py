"""When parked tasks are taken up again: at their due time, or when what they wait for arrives."""

import asyncio
import heapq
import time
from collections import Counter
from collections.abc import Callable

from app import ids
from tables import calls, tasks

BREATH = 128  # rows between two turns of the event loop


class Parking:
    """Due times of the parked tasks on this worker; the rows themselves are in tables/tasks."""

    def __init__(self, resume: Callable[[int, bytes, str], None]) -> None:
        self._resume = resume  # (partition, key, scorer ref)
        self._due: list[tuple[float, int, bytes, str]] = []
        self._rows: Counter[int] = Counter()  # parked rows by partition
        self._changed = asyncio.Event()

    async def load(self, partition: int, still_ours: Callable[[], bool]) -> None:
        """Take up what was parked before this worker owned the partition; what may run at once is resumed."""
        self._rows[partition] = 0
        for number, (key, row) in enumerate(tasks.parked(partition)):
            if number % BREATH == BREATH - 1:
                await asyncio.sleep(0)
                if not still_ours():
                    return
            self._rows[partition] += 1
            self._push(partition, key, row)
            if row.reason == "scorer_version_unavailable" or has_call(partition, row):
                self._resume(partition, key, row.scorer_ref)

    def parked(self, partition: int, key: bytes, row: tasks.Row, new: bool) -> None:
        """A row was put; `new` if there was none before."""
        self._rows[partition] += new
        self._push(partition, key, row)
        if has_call(partition, row):
            # It arrived between the look for it and now; who stores a call wakes only what is parked already.
            self._resume(partition, key, row.scorer_ref)

    def removed(self, partition: int, was_there: bool) -> None:
        """A row was deleted, if there was one."""
        self._rows[partition] -= was_there

    def any(self, partition: int) -> bool:
        return self._rows[partition] > 0

    def call_arrived(self, partition: int, call_key: bytes) -> None:
        """Resume the tasks that waited for this call."""
        if self.any(partition):
            for key, row in tasks.parked(partition, call_key + ids.SEPARATOR):
                if row.reason == "waiting_for_call":
                    self._resume(partition, key, row.scorer_ref)

    def clear(self) -> None:
        self._due.clear()
        self._rows.clear()

    async def run(self) -> None:
        """Resume tasks when they are due, for ever."""
        while True:
            resumed = 0
            while self._due and self._due[0][0] <= time.time():
                _, partition, key, scorer_ref = heapq.heappop(self._due)
                self._resume(partition, key, scorer_ref)
                resumed += 1
                if resumed % BREATH == 0:
                    await asyncio.sleep(0)
            self._changed.clear()
            # A wait never exceeds a second, so that a clock that was set cannot make anything late for longer.
            pause = min(1.0, self._due[0][0] - time.time()) if self._due else None
            try:
                await asyncio.wait_for(self._changed.wait(), pause)
            except TimeoutError:
                continue

    def _push(self, partition: int, key: bytes, row: tasks.Row) -> None:
        heapq.heappush(self._due, (row.due, partition, key, row.scorer_ref))
        if self._due[0][2] == key:
            self._changed.set()


def has_call(partition: int, row: tasks.Row) -> bool:
    """Whether a task waits for a call that is there."""
    return (
        row.reason == "waiting_for_call"
        and calls.find(partition, ids.call_key(row.project_id, row.call_id)) is not None
    )
