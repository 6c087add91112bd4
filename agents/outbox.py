"""Events on their way to `score-events`: those of one turn and partition share a record."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from app import topics
from app.events import ScoreEvents, Target, TasksReused
from app.slices import pace

HELD_SECONDS = 0.01  # that an event may wait for others to share its record
MAX_BYTES = 768 * 1024  # an event has at most 256 KiB of output, and a record must stay below 2 MiB


@dataclass(slots=True)
class _Batch:
    """The next record of one partition."""

    events: list[bytes] = field(default_factory=list)
    size: int = 0
    reused: TasksReused | None = None  # grows until a task of another chunk × scorer comes, or a flush
    on_logged: list[Callable[[bool], None]] = field(default_factory=list)  # get whether it is in the log


class Outbox:
    """Collects score events, and appends them at the end of a turn of the event loop.

    After a flush they wait up to HELD_SECONDS for others, since a record costs ten times what an event in it does.
    """

    def __init__(self) -> None:
        self._batches: defaultdict[int, _Batch] = defaultdict(_Batch)
        self._scheduled: asyncio.Handle | None = None
        self._at_once = False  # it is scheduled for the end of this turn
        self._flushed_at = 0.0
        self._closed = False

    def put(self, partition: int, encoded: bytes) -> None:
        """Send an event. It is encoded by the caller, so that one that cannot be encoded does not affect others."""
        self._add(partition, encoded)
        self._schedule()

    def put_durably(self, partition: int, encoded: bytes, on_logged: Callable[[bool], None]) -> None:
        """Send an event soon; `on_logged` gets whether it is in the log, unless the outbox is closed."""
        self._add(partition, encoded)
        self._batches[partition].on_logged.append(on_logged)
        self._schedule_now()

    def put_reused(self, partition: int, target: Target) -> None:
        """Send that a task had succeeded before; neighbours in a chunk share an event."""
        batch = self._batches[partition]
        last = batch.reused
        if last is not None and (last.request_id, last.chunk, last.scorer) == target[:3]:
            last.calls.append(target.call)
            return
        self._close_reused(partition)
        request_id, chunk, scorer, call, _ = target
        self._batches[partition].reused = TasksReused(
            request_id=request_id, chunk=chunk, scorer=scorer, calls=[call], at=time.time()
        )
        self._schedule()

    def end_turn(self) -> None:
        """Append now what would be appended at the end of this turn."""
        if self._at_once:
            self.flush()

    def flush(self) -> None:
        """Append everything now."""
        if self._scheduled is not None:
            self._scheduled.cancel()
        self._scheduled, self._at_once = None, False
        self._flushed_at = asyncio.get_running_loop().time()
        if not self._closed:
            for partition in self._batches:
                self._close_reused(partition)
                self._append(partition)
            topics.push()
        self._batches.clear()

    def close(self) -> None:
        """Append everything now, and nothing later: the log owes the rest to the next worker."""
        self.flush()
        self._closed = True

    def keep(self, partitions: set[int]) -> None:
        """Drop the events of all other partitions: the log still owes them to their new owners."""
        for partition in self._batches.keys() - partitions:
            _notify(self._batches.pop(partition).on_logged, False)

    def _add(self, partition: int, encoded: bytes) -> None:
        batch = self._batches[partition]
        if batch.events and (batch.size + len(encoded) > MAX_BYTES or len(batch.events) >= pace().events):
            self._append(partition)
        batch.events.append(encoded)
        batch.size += len(encoded)

    def _close_reused(self, partition: int) -> None:
        batch = self._batches[partition]
        if batch.reused is not None:
            event, batch.reused = batch.reused, None
            self._add(partition, event.encode())

    def _append(self, partition: int) -> None:
        batch = self._batches[partition]
        if batch.events and not self._closed:
            sent = topics.score_events.send(None, ScoreEvents.join(batch.events), partition)
            if batch.on_logged:
                sent.add_done_callback(partial(_on_sent, batch.on_logged))
            batch.events, batch.size, batch.on_logged = [], 0, []

    def _schedule(self) -> None:
        if self._scheduled is not None:
            return
        loop = asyncio.get_running_loop()
        wait = self._flushed_at + HELD_SECONDS - loop.time()
        if wait > 0:
            self._scheduled = loop.call_later(wait, self.flush)
        else:
            self._schedule_now()

    def _schedule_now(self) -> None:
        if not self._at_once:
            if self._scheduled is not None:
                self._scheduled.cancel()
            self._scheduled, self._at_once = asyncio.get_running_loop().call_soon(self.flush), True


def _on_sent(callbacks: list[Callable[[bool], None]], sent: "asyncio.Future[Any]") -> None:
    _notify(callbacks, not sent.cancelled() and sent.exception() is None)


def _notify(callbacks: list[Callable[[bool], None]], durable: bool) -> None:
    for on_logged in callbacks:
        on_logged(durable)
