"""Group commit: all that is put during a sync is the next batch, so batches grow with the load."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Generic, TypeVar

from rocksdict import Rdict, WriteBatch

from app.rocks import is_damage

from .errors import LogBlockCorrupt, LogClosed, LogFailed, LogUnsynced

T = TypeVar("T")


class Writer(Generic[T]):
    """Writes puts in their order, and calls back when they are synced.

    It belongs to one event loop, which calls `durable` with the tags of each synced batch, in the order of the puts, or
    `failed` with the tags of all that will never be synced.
    """

    def __init__(
        self,
        database: Rdict,
        path: Path,
        durable: Callable[[list[T]], None],
        failed: Callable[[list[T], LogFailed], None],
    ) -> None:
        self._database = database
        self._path = path
        self._durable = durable
        self._failed = failed
        # The loop that waits for the next sync, or None to end. An executor would add 0.1 ms to a single append.
        self._requests: SimpleQueue[asyncio.AbstractEventLoop | None] = SimpleQueue()
        self._thread = Thread(target=self._sync, name="embedded-log-sync", daemon=True)
        self._thread.start()
        self._batch = WriteBatch(raw_mode=True)
        self._tags: list[T] = []
        self._syncing: list[T] = []
        self._puts = 0  # since the last write
        self._puts_syncing = 0
        self._scheduled = False
        self._busy = False
        self.closed = False
        self.failure: LogFailed | None = None

    @property
    def idle(self) -> bool:
        """Whether everything put so far is durable."""
        return not (self._busy or self._scheduled)

    @property
    def backlog(self) -> int:
        """Number of puts that are not durable yet."""
        return self._puts + self._puts_syncing

    def put(self, key: bytes, value: bytes) -> None:
        """Put into the next batch, which is only written after a `tag` in the same turn of the loop."""
        self._batch.put(key, value)
        self._puts += 1

    def tag(self, tag: T) -> None:
        """Have a callback called with this tag once all puts so far are durable. Call `check` before."""
        self._tags.append(tag)
        if not self._scheduled:
            self._schedule()

    def push(self) -> None:
        """Write now instead of in the next turn of the event loop, unless a sync runs."""
        if self._scheduled and not self._busy:
            self._write()

    def check(self) -> None:
        """Raise LogFailed or LogClosed if nothing more can be written."""
        if self.failure is not None:
            raise self.failure.with_traceback(None)  # one instance for all: its traceback must not grow
        if self.closed:
            raise LogClosed(self._path)

    def fail(self, failure: LogFailed) -> None:
        """Write nothing more. All that is not durable yet fails, though a running sync may still make it durable."""
        if self.failure is not None:
            return
        self.failure = failure
        lost = self._syncing + self._tags
        self._syncing, self._tags = [], []
        self._busy = self._scheduled = False
        self._puts = self._puts_syncing = 0
        self._failed(lost, failure)

    def close(self) -> None:
        """Stop the sync thread. Everything must be durable, or have failed, before."""
        self.closed = True
        self._requests.put(None)
        self._thread.join()

    def _schedule(self) -> None:
        self._scheduled = True
        if not self._busy:
            asyncio.get_running_loop().call_soon(self._write)

    def _write(self) -> None:
        if self.failure is not None or not self._scheduled or self._busy:
            return  # `push` has written it
        batch, self._batch = self._batch, WriteBatch(raw_mode=True)
        self._syncing, self._tags = self._tags, []
        self._puts, self._puts_syncing = 0, self._puts
        self._scheduled = False
        self._busy = True
        try:
            self._database.write(batch)
        except Exception as exc:  # rocksdict raises bare Exception
            self._fail(LogFailed, exc)
        else:
            self._requests.put(asyncio.get_running_loop())

    def _fail(self, kind: type[LogFailed], reason: Exception) -> None:
        # What RocksDB's own compaction finds damaged, it reports to the next write.
        self.fail((LogBlockCorrupt if is_damage(reason) else kind)(self._path, reason))

    def _sync(self) -> None:
        # rocksdict's own synced write would hold the GIL for the whole fdatasync; flush_wal does not.
        while (loop := self._requests.get()) is not None:
            failure: Exception | None = None
            try:
                self._database.flush_wal(True)
            except Exception as exc:  # rocksdict raises bare Exception
                failure = exc
            with suppress(RuntimeError):  # the loop was closed without waiting
                loop.call_soon_threadsafe(self._synced, failure)

    def _synced(self, failure: Exception | None) -> None:
        if failure is not None:
            self._fail(LogUnsynced, failure)
        if self.failure is not None:
            return
        durable, self._syncing = self._syncing, []
        self._puts_syncing = 0
        self._busy = False
        self._durable(durable)
        if self._scheduled:
            # After the callbacks of the futures just resolved, so that clients that append again join this batch.
            asyncio.get_running_loop().call_soon(self._write)
