"""A read-only view of a log at one moment, also while a service has it open."""

import fcntl
import time
from collections.abc import Iterator, Set
from pathlib import Path
from types import TracebackType
from typing import IO, Self, cast

from rocksdict import AccessType, DBRecoveryMode, Rdict

from app.rocks import status

from . import keys
from .errors import LogLocked, LogUnavailable, NoLog
from .record import Record, decode
from .store import check_version, database_options, get, is_log, scan, unreadable
from .topic import Partition, Topic, load_committed, load_topics

LOCK = "LOCK"  # RocksDB's own
_ATTEMPTS = 10  # to open it while its owner writes
_PAUSE = 0.05  # seconds between two attempts


class View:
    """A log as it was when the view was opened; use it as a context manager.

    `alone` takes the lock that a service holds, so that the log does not change meanwhile.

    Raises:
        NoLog: there is no log in this directory.
        LogLocked: `alone`, and another process has it open.
        LogUnavailable, LogFormatMismatch, LogBlockCorrupt, LogUnreadable: it cannot be opened.
    """

    def __init__(self, path: Path, *, alone: bool = False) -> None:
        self.path = path.absolute()
        if not is_log(self.path):
            raise NoLog(self.path)
        self._lock = take_lock(self.path) if alone else None
        try:
            self._database = _open(self.path, alone=alone)
            self.topics: dict[str, Topic] = load_topics(self._database)
            self.committed: dict[tuple[str, str, int], int] = load_committed(self._database, self.topics)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the files and release the lock."""
        if hasattr(self, "_database"):
            self._database.close()
        if self._lock is not None:
            self._lock.close()

    def get(self, key: bytes) -> bytes | None:
        """The value of a key. Raises LogBlockCorrupt, LogUnreadable."""
        return get(self._database, key)

    def scan(self, prefix: bytes, start: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Keys with `prefix` and their values in order, from `start` on.

        Raises:
            LogBlockCorrupt, LogUnreadable: the next block cannot be read.
        """
        return scan(self._database, prefix if start is None else start, prefix)

    def outside(self, partitions: Set[bytes]) -> Iterator[bytes]:
        """All keys except those of records in partitions with these prefixes. Raises LogBlockCorrupt, LogUnreadable."""
        at = self._database.iter()
        at.seek_to_first()
        while at.valid():
            key = cast(bytes, at.key())
            prefix = key[: keys.PREFIX_SIZE]
            if prefix in partitions:
                at.seek(keys.after(prefix))
                continue
            yield key
            at.next()
        # At a block that cannot be read an iterator looks as if it were at its end.
        if failure := status(at):
            raise unreadable(self.path, failure)

    def records(self, partition: Partition, start: int = 0, end: int | None = None) -> Iterator[Record]:
        """Records of a partition from offset `start` to before `end`. Raises LogBlockCorrupt, LogUnreadable."""
        for key, raw in self.scan(partition.prefix, partition.prefix + keys.pack_offset(start)):
            offset = keys.parse_offset(key)
            if end is not None and offset >= end:
                return
            yield decode(partition.topic, partition.number, offset, raw)


def take_lock(path: Path) -> IO[bytes]:
    """Take RocksDB's own lock, which is held until the returned file is closed. Raises LogLocked."""
    lock = (path / LOCK).open("ab")
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        lock.close()
        raise LogLocked(path) from exc
    return lock


def is_locked(path: Path) -> bool:
    """Whether another process has the log open. The lock is taken only for the duration of the call."""
    try:
        with (path / LOCK).open("rb") as lock:
            fcntl.lockf(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _open(path: Path, *, alone: bool) -> Rdict:
    options = database_options()
    options.create_if_missing(False)
    options.set_max_open_files(-1)  # open all now, so that files that the service deletes can still be read
    if alone:
        # The default would silently ignore what follows the first damage in the write-ahead log.
        options.set_wal_recovery_mode(DBRecoveryMode.tolerate_corrupted_tail_records())
    for attempt in range(1 if alone else _ATTEMPTS):
        if attempt:
            time.sleep(_PAUSE)
        before = _write_ahead_logs(path)
        try:
            database = Rdict(str(path), options, access_type=AccessType.read_only(False))
        except Exception as exc:  # rocksdict raises bare Exception
            failure = exc  # perhaps its owner deleted a file meanwhile
            continue
        if before <= _write_ahead_logs(path):
            break
        failure = TimeoutError("its files change too fast")  # one was deleted, whose records may be missing
        database.close()
    else:
        raise LogUnavailable(path, failure) from failure
    try:
        check_version(path, get(database, keys.VERSION))
    except BaseException:
        database.close()
        raise
    return database


def _write_ahead_logs(path: Path) -> set[str]:
    return {found.name for found in path.glob("*.log")}
