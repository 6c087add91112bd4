"""Events on their way to `score-events`: those of one turn and partition share a record."""

import asyncio
import time
from collections import defaultdict

from app import topics
from app.events import ScoreEvent, ScoreEvents, Target, TasksReused

MAX_EVENTS = 256
MAX_BYTES = 512 * 1024  # of outputs; a record must stay well below the broker's 2 MiB


class Outbox:
    """Collects score events and appends them at the end of the event loop's turn."""

    def __init__(self) -> None:
        self._events: defaultdict[int, list[ScoreEvent]] = defaultdict(list)
        self._bytes: defaultdict[int, int] = defaultdict(int)
        self._scheduled = False

    def put(self, partition: int, event: ScoreEvent, size: int = 0) -> None:
        """Send an event; `size` is that of its output in bytes."""
        if self._events[partition] and self._bytes[partition] + size > MAX_BYTES:
            self._append(partition)
        events = self._events[partition]
        events.append(event)
        self._bytes[partition] += size
        if len(events) >= MAX_EVENTS:
            self._append(partition)
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self.flush)

    def put_reused(self, partition: int, target: Target) -> None:
        """Send that a task had succeeded before; neighbours in a chunk share an event."""
        last = self._events[partition][-1] if self._events[partition] else None
        if isinstance(last, TasksReused) and (last.request_id, last.chunk, last.scorer) == target[:3]:
            last.calls.append(target.call)
            return
        request_id, chunk, scorer, call = target
        event = TasksReused(request_id=request_id, chunk=chunk, scorer=scorer, calls=[call], at=time.time())
        self.put(partition, event)

    def flush(self) -> None:
        """Append everything now."""
        self._scheduled = False
        for partition in list(self._events):
            self._append(partition)

    def keep(self, partitions: set[int]) -> None:
        """Forget what was not appended to other partitions: the log still owes it to their new owners."""
        for partition in [partition for partition in self._events if partition not in partitions]:
            del self._events[partition]
            self._bytes.pop(partition, None)

    def _append(self, partition: int) -> None:
        events = self._events.pop(partition, None)
        self._bytes.pop(partition, None)
        if events:
            topics.score_events.send(None, ScoreEvents(events=events).encode(), partition)
