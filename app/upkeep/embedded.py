"""The embedded log of a stopped service: reading it, and making a new one."""

import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from app.client.errors import CommandError
from app.embedded.errors import LogNotEmpty
from app.embedded.log import Log
from app.embedded.record import Record
from app.embedded.store import is_log
from app.embedded.view import LOCK, View, take_lock
from app.fsync import fsync
from app.rocks import MIB
from app.settings import Settings
from app.upkeep import paths, topic_names

_UNSYNCED = 10_000  # records
_UNSYNCED_BYTES = 8 * MIB
_OF_NO_LOG = (LOCK, "LOG", "rocksdict-config.json")  # left by a service that could not take the lock


class EmbeddedSource:
    """The primary topics of a log that is open for reading."""

    def __init__(self, view: View, settings: Settings) -> None:
        self._view = view
        self._settings = settings
        counts = {len(view.topics[name].partitions) for name in topic_names.PRIMARY.values() if name in view.topics}
        if not counts:
            raise CommandError(f"The log at {view.path} has no topics of callscore.")
        self.partitions = counts.pop()

    async def ends(self) -> dict[str, list[int]]:
        """The offset after the last record of each partition, by topic."""
        return {
            topic: [partition.end for partition in found.partitions] if (found := self._view.topics.get(name)) else []
            for topic, name in topic_names.PRIMARY.items()
        }

    async def committed(self) -> dict[str, list[int]]:
        """The offset that the workers have committed in each partition, by topic."""
        group = self._settings.group
        return {
            topic: [
                self._view.committed.get((group, topic_names.PRIMARY[topic], number), 0) for number in range(len(ends))
            ]
            for topic, ends in (await self.ends()).items()
        }

    async def records(
        self, topic: str, partition: int, start: int = 0, end: int | None = None
    ) -> AsyncIterator[Record]:
        """The records of a partition, from offset `start` to before `end`."""
        found = self._view.topics.get(topic_names.PRIMARY[topic])
        if found is not None:
            for record in self._view.records(found.partitions[partition], start, end):
                yield record._replace(topic=topic)


@asynccontextmanager
async def source(settings: Settings, *, alone: bool = True) -> AsyncIterator[EmbeddedSource]:
    """The log of the settings. With `alone`, no other process may have it open. Raises EmbeddedLogError."""
    with View(paths.log_path(settings), alone=alone) as view:
        yield EmbeddedSource(view, settings)


class EmbeddedTarget:
    """A log that is being written."""

    def __init__(self, log: Log, settings: Settings) -> None:
        self.log = log
        self._unsynced = 0  # bytes
        for name in topic_names.PRIMARY.values():
            log.create_topic(name, settings.partitions)

    async def put(self, record: Record) -> None:
        """Append to the record's topic and partition."""
        name = topic_names.PRIMARY[record.topic]
        self.log.append(name, record.partition, record.key, record.value, record.timestamp, record.headers)
        self._unsynced += len(record.value or b"")
        if self.log.backlog >= _UNSYNCED or self._unsynced >= _UNSYNCED_BYTES:
            await self.log.flush()
            self._unsynced = 0


@asynccontextmanager
async def target(settings: Settings) -> AsyncIterator[EmbeddedTarget]:
    """A new log to write to, which appears at the path of the settings only when it is complete.

    Raises:
        CommandError: the log has records already, or its path cannot be replaced.
        EmbeddedLogError: it is in use, or cannot be written.
    """
    path = paths.log_path(settings).resolve()
    if path.is_mount():
        raise CommandError(
            f"{path} is a mount point, which a new log cannot take the place of: "
            "mount the disk one folder above, or set CALLSCORE_BROKER to a folder on it, and try again."
        )
    making = path.with_name(f"{path.name}.importing")
    with _held(path):
        shutil.rmtree(making, ignore_errors=True)  # left by an import that was killed
        log = Log(making)
        try:
            yield EmbeddedTarget(log, settings)
            await log.flush()
            await log.close()
            _swap(making, path)
        except BaseException:
            if log.failed is None:
                await log.close()
            shutil.rmtree(making, ignore_errors=True)
            raise


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Lock the path of a log without records, so that no service opens or makes a log there meanwhile."""
    if is_log(path):
        with View(path, alone=True) as view:
            _check_empty(view)
            yield
        return
    path.mkdir(parents=True, exist_ok=True)
    with take_lock(path):
        if any(not found.name.startswith(_OF_NO_LOG) for found in path.iterdir()):
            raise LogNotEmpty(path)
        yield


def _swap(making: Path, path: Path) -> None:
    """Delete the lock last: if another process makes a log at `path` then, that log stays and the import fails."""
    for found in path.iterdir():
        if found.name != LOCK:
            found.unlink()
    (path / LOCK).unlink()
    making.rename(path)
    fsync(path.parent)


def _check_empty(view: View) -> None:
    held = sorted(name for name, topic in view.topics.items() if any(found.end for found in topic.partitions))
    if held:
        raise CommandError(
            f"The log at {view.path} has records already (in {held[0]}). "
            "Import into a new log, with another CALLSCORE_DATA_DIR."
        )
