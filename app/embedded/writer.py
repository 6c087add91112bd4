"""Group commit: whatever is put while a sync runs becomes the next batch, so that batches grow with the load."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Generic, TypeVar

from rocksdict import Rdict, WriteBatch

from .errors import LogClosed, LogFailed

T = TypeVar("T")


class Writer(Generic[T]):
    """Writes puts in the order they came, and says once they are synced which ones they were.

    It belongs to one event loop. `durable` is called on it with the tags of each synced batch, in the order of the
    puts; `failed` with the tags of all that will never be.
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
        # rocksdict's own synced write holds the GIL for the whole fdatasync; flush_wal in a thread does not.
        self._thread = ThreadPoolExecutor(1, "embedded-log-sync")
        self._batch = WriteBatch(raw_mode=True)
        self._tags: list[T] = []
        self._syncing: list[T] = []
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
        """Number of tags that are not durable yet."""
        return len(self._tags) + len(self._syncing)

    def put(self, key: bytes, value: bytes) -> None:
        """Put into the next batch. Only `tag` gets that batch written, in the same turn of the loop."""
        self._batch.put(key, value)

    def tag(self, tag: T) -> None:
        """Ask to be told when everything put so far is durable. Call `check` before."""
        self._tags.append(tag)
        if not self._scheduled:
            self._schedule()

    def check(self) -> None:
        """Raise LogFailed or LogClosed if nothing can be written any more."""
        if self.failure is not None:
            raise self.failure
        if self.closed:
            raise LogClosed(self._path)

    def close(self) -> None:
        """Stop the sync thread. Everything must be durable, or have failed, before."""
        self.closed = True
        self._thread.shutdown(wait=True)

    def _schedule(self) -> None:
        self._scheduled = True
        if not self._busy:
            asyncio.get_running_loop().call_soon(self._write)

    def _write(self) -> None:
        batch, self._batch = self._batch, WriteBatch(raw_mode=True)
        self._syncing, self._tags = self._tags, []
        self._scheduled = False
        self._busy = True
        try:
            self._database.write(batch)
            sync = asyncio.get_running_loop().run_in_executor(self._thread, self._database.flush_wal, True)
        except Exception as exc:  # rocksdict raises bare Exception
            self._fail(exc)
        else:
            sync.add_done_callback(self._synced)

    def _synced(self, sync: "asyncio.Future[Any]") -> None:
        failure = asyncio.CancelledError() if sync.cancelled() else sync.exception()
        if failure is not None:
            self._fail(failure)
            return
        durable, self._syncing = self._syncing, []
        self._busy = False
        self._durable(durable)
        if self._scheduled:
            # Behind the callbacks of the futures just resolved, so that clients who answer at once join this batch.
            asyncio.get_running_loop().call_soon(self._write)

    def _fail(self, reason: BaseException) -> None:
        self.failure = LogFailed(self._path, reason)
        lost = self._syncing + self._tags
        self._syncing, self._tags = [], []
        self._busy = self._scheduled = False
        self._failed(lost, self.failure)
