"""The embedded log: topics, partitions, records and committed offsets in one RocksDB; only durable ones are seen."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from rocksdict import Rdict

from . import keys
from .backup import checkpoint, checkpoint_place
from .cleaning import CleanedStats, clean
from .errors import (
    CleaningStopped,
    InvalidOffset,
    InvalidTopic,
    LogBlockCorrupt,
    LogCorrupt,
    LogFailed,
    NotCompacted,
    PartitionCountMismatch,
    UnknownTopic,
)
from .policy import Policy
from .record import Appended, Headers, Record, TopicPartition, decode, encode
from .store import get, open_database, scan
from .topic import Partition, Topic, load_committed, load_topics
from .writer import Writer

logger = logging.getLogger(__name__)

TOPIC_NAME_MAX = 249
READ_MAX_BYTES = 1024 * 1024
_SINGLE_GETS = 16  # up to so many records are fetched one by one
FAR_AHEAD_MS = 120_000  # a clock that is kept right is never set back by so much
CLEANING_PAUSE = 9.0  # times the work before it, so that cleaning takes a tenth of the time at most

DurableCallback = Callable[[set[TopicPartition]], None]
FailedCallback = Callable[[LogFailed], None]


# An open database, its topics by name, and the committed offsets by group, topic and partition.
_Opened = tuple[Rdict, dict[str, Topic], dict[tuple[str, str, int], int]]

# Waiting for a sync: an append with partition, offset and timestamp; a commit with its offsets; a flush with none.
_Committed = dict[tuple[str, str, int], int]
_Waiting = tuple["asyncio.Future[Any]", Partition | _Committed, int, int]


class Log:
    """A log in one directory, used by one process and from one event loop.

    Opening it raises LogLocked, LogUnavailable, LogFormatMismatch, LogBlockCorrupt or LogUnreadable.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).absolute()
        self._listeners: list[DurableCallback] = []
        self._failed_listeners: list[FailedCallback] = []
        self._checkpointing = asyncio.Lock()
        self._noted_ahead = False
        self._use(self._open())

    @property
    def id(self) -> str:
        """Differs from that of every other log, but for copies of this one."""
        return (get(self._database, keys.ID) or b"").decode()

    # -- topics

    @property
    def topics(self) -> Mapping[str, Topic]:
        """Every topic by name."""
        return self._topics

    def partition_count(self, topic: str) -> int | None:
        """Return the number of partitions of a topic, None if there is no such topic."""
        found = self._topics.get(topic)
        return None if found is None else len(found.partitions)

    def create_topic(self, topic: str, partitions: int, config: Mapping[str, Any] | None = None) -> bool:
        """Create a topic, which is durable before its first record; return False if it existed.

        `config` replaces that of an existing topic, unless it is None.

        Raises:
            InvalidTopic: the name or the count cannot be stored.
            PartitionCountMismatch: the topic exists with another partition count.
            LogFailed, LogClosed: the log takes no more writes.
        """
        self._writer.check()
        existing = self._topics.get(topic)
        if existing is not None:
            if len(existing.partitions) != partitions:
                raise PartitionCountMismatch(topic, len(existing.partitions), partitions)
            if config is not None and dict(config) != existing.config:
                self._topics[topic] = existing._replace(config=dict(config))
                self._put(keys.topic_key(topic), keys.topic_value(existing.id, partitions, config))
            return False
        if not 0 < len(topic) <= TOPIC_NAME_MAX or "\0" in topic or partitions < 1:
            raise InvalidTopic(topic, partitions)
        topic_id = max((known.id for known in self._topics.values()), default=0) + 1
        created = Topic(topic_id, dict(config or {}), [Partition(topic, topic_id, n, 0, 0) for n in range(partitions)])
        for partition in created.partitions:
            self._writer.put(keys.bounds_key(topic_id, partition.number), keys.bounds_value(0, 0))
        self._put(keys.topic_key(topic), keys.topic_value(topic_id, partitions, created.config))
        self._topics[topic] = created
        self._partitions.update({partition.tp: partition for partition in created.partitions})
        return True

    # -- records

    def append(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        timestamp: int | None = None,
        headers: Headers = (),
    ) -> "asyncio.Future[Appended]":
        """Append a record; the future resolves once it is durable, and only then can it be read.

        `timestamp` is in milliseconds since the epoch, and stored as given. By default it is now, but at least that of
        the record before, so that it never goes back in a partition, whatever the clock does.

        Raises:
            UnknownTopic: no such topic or partition.
            LogFailed, LogClosed: the log takes no more writes. The future raises LogFailed if this one was not written.
        """
        return self._append(topic, partition, [(key, value)], timestamp, headers)

    def append_all(
        self, topic: str, partition: int, records: Sequence[tuple[bytes | None, bytes | None]]
    ) -> "asyncio.Future[Appended]":
        """Append one or more keys and values to one partition; the future is that of the last. Raises as `append`."""
        return self._append(topic, partition, records, None, ())

    def _append(
        self,
        topic: str,
        partition: int,
        records: Sequence[tuple[bytes | None, bytes | None]],
        timestamp: int | None,
        headers: Headers,
    ) -> "asyncio.Future[Appended]":
        writer = self._writer
        if writer.failure is not None or writer.closed:
            writer.check()
        try:
            target = self._partitions[topic, partition]
        except KeyError:
            raise UnknownTopic(topic, partition) from None
        if timestamp is None:
            timestamp = time.time_ns() // 1_000_000
            if timestamp < target.timestamp:
                self._note_ahead(target, timestamp)
                timestamp = target.timestamp
        for key, value in records:
            writer.put(target.prefix + keys.pack_offset(target.next), encode(timestamp, key, value, headers))
            target.next += 1
        target.timestamp = max(timestamp, target.timestamp)
        future: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()
        writer.tag((future, target, target.next - 1, timestamp))
        return future

    def _note_ahead(self, target: Partition, now: int) -> None:
        """Log once that the clock was ahead when a partition's newest record was appended."""
        ahead = target.timestamp - now
        if ahead >= FAR_AHEAD_MS and not self._noted_ahead:
            self._noted_ahead = True
            logger.error(
                "the time of %s/%d is %d minutes ahead of the clock: it stands still until the clock has reached it",
                *target.tp,
                ahead // 60_000,
            )

    def push(self) -> None:
        """Write what was appended now instead of in the next turn of the event loop, unless a sync runs."""
        self._writer.push()

    def read(
        self, topic: str, partition: int, offset: int, max_records: int = 500, max_bytes: int = READ_MAX_BYTES
    ) -> list[Record]:
        """Return durable records from `offset` on, in order, without those that were cleaned away.

        Stops at `max_records`, or with the record that reaches `max_bytes` of stored size, so at least one record is
        returned. Empty at the end of the partition.

        Raises:
            UnknownTopic: no such topic or partition.
            LogCorrupt: records are missing.
            LogBlockCorrupt: a block on the disk is damaged.
            LogUnreadable: a block cannot be read for another reason.
            LogClosed: the log has been closed.
        """
        source = self._partition(topic, partition)
        if self._writer.closed:
            self._writer.check()
        last = source.end - 1
        offset = max(offset, source.start)
        records: list[Record] = []
        if offset > last:
            return records
        size = 0
        for found, raw in self._stored(source, offset, last):
            records.append(decode(topic, partition, found, raw))
            size += len(raw)
            if found == last or len(records) >= max_records or size >= max_bytes:
                break
        if not records:
            raise LogCorrupt(self.path, topic, partition, offset, source.end)
        return records

    def earliest(self, topic: str, partition: int) -> int:
        """Return the first offset that a partition still has. Raises UnknownTopic."""
        return self._partition(topic, partition).start

    def highwater(self, topic: str, partition: int) -> int:
        """Return the offset after the last durable record. Raises UnknownTopic."""
        return self._partition(topic, partition).end

    def on_durable(self, callback: DurableCallback) -> Callable[[], None]:
        """Call back after each sync with the partitions that have new records; returns how to unsubscribe."""
        self._listeners.append(callback)
        return lambda: self._listeners.remove(callback)

    def on_failed(self, callback: FailedCallback) -> Callable[[], None]:
        """Call back when the log fails, before any waiting task runs; returns how to unsubscribe."""
        self._failed_listeners.append(callback)
        return lambda: self._failed_listeners.remove(callback)

    # -- committed offsets

    def commit(self, group: str, offsets: Mapping[tuple[str, int], int]) -> "asyncio.Future[None]":
        """Commit the offsets to read from next; the future resolves once they, and all appended before, are durable.

        Raises:
            UnknownTopic, InvalidOffset: a partition or offset does not exist; nothing is committed.
            LogFailed, LogClosed: the log takes no more writes. The future raises LogFailed if this one was not written.
        """
        self._writer.check()
        for (topic, number), offset in offsets.items():
            if not 0 <= offset <= (end := self._partition(topic, number).next):
                raise InvalidOffset(topic, number, offset, end)
        for (topic, number), offset in offsets.items():
            key = keys.committed_key(group, self._topics[topic].id, number)
            self._writer.put(key, keys.pack_offset(offset))
        return self._wait({(group, *tp): offset for tp, offset in offsets.items()})

    def committed(self, group: str, topic: str, partition: int) -> int | None:
        """Return the durable committed offset, None if the group has none in this partition."""
        return self._committed.get((group, topic, partition))

    # -- cleaning

    async def clean(self) -> CleanedStats:
        """Clean every topic by its config, slowly, while records are appended and read.

        It may be cancelled or killed at any point, and ends when the log fails or is closed.

        Raises:
            LogBlockCorrupt: a block on the disk is damaged.
            CleaningStopped: a read or write failed otherwise. That does not fail the log; an append may.
            LogFailed, LogClosed: the log takes no more writes.
        """
        return await self._clean(self._topics.values(), pause=CLEANING_PAUSE)

    async def compact(self, topic: str) -> CleanedStats:
        """Compact a topic now: only the newest record of each key stays, and the disk space is freed.

        Raises:
            UnknownTopic: no such topic.
            NotCompacted: its config does not allow compaction.
            LogBlockCorrupt, CleaningStopped, LogFailed, LogClosed: as `clean`.
        """
        self._partition(topic, 0)
        found = self._topics[topic]
        if not Policy.of(found.config).compact:
            raise NotCompacted(topic)
        stats = await self._clean([found], pause=0)
        for partition in found.partitions if self._takes_writes else ():
            await asyncio.to_thread(self._database.compact_range, partition.prefix, keys.after(partition.prefix))
        return stats

    async def _clean(self, topics: Iterable[Topic], pause: float) -> CleanedStats:
        self._writer.check()
        database = self._database
        wanted = [(partition, Policy.of(topic.config)) for topic in topics for partition in topic.partitions]
        try:
            return await clean(database, wanted, lambda: self._database is database and self._takes_writes, pause)
        except LogBlockCorrupt:
            raise
        except Exception as exc:  # rocksdict raises bare Exception
            raise CleaningStopped(self.path, exc) from exc

    # -- state

    @property
    def _takes_writes(self) -> bool:
        return self._writer.failure is None and not self._writer.closed

    @property
    def failed(self) -> LogFailed | None:
        """Why the log takes no more writes, None while it does."""
        return self._writer.failure

    @property
    def backlog(self) -> int:
        """Number of records and other entries that are not durable yet."""
        return self._writer.backlog

    async def flush(self) -> None:
        """Wait until everything appended and committed so far is durable. Raises LogFailed or LogClosed."""
        self._writer.check()
        if not self._writer.idle:
            await self._wait()

    def fail(self, failure: LogFailed) -> None:
        """Take no more writes, as after a failed one, because something that depends on the log cannot be written."""
        self._writer.fail(failure)

    async def reopen(self) -> None:
        """Open the database again after a failed write; from then on the log takes writes again.

        A record whose future failed is either in the log and durable, or not there, and its offset is given again.

        Raises:
            EmbeddedLogError: as on construction. The log stays failed, and this can be called again.
        """
        known = self._topics
        self._use(await asyncio.to_thread(self._open_again))
        for name, topic in known.items():
            self.create_topic(name, len(topic.partitions), topic.config)

    async def checkpoint(self) -> Path:
        """Copy all that is durable now to a directory beside the log, in place of the last copy; return its path.

        Raises:
            LogFailed, LogClosed: the log takes no more writes.
            LogNotCopied: the copy cannot be made.
        """
        async with self._checkpointing:
            await self.flush()
            place = checkpoint_place(self.path)
            await asyncio.to_thread(checkpoint, self._database, place)
            return place

    async def close(self) -> None:
        """Make everything durable and close the database; after a failure, only close it. Raises LogFailed."""
        if self._writer.closed:
            return
        try:
            if self.failed is None:
                await self.flush()
        finally:
            self._writer.close()
            try:
                self._database.close()
            except Exception as exc:  # rocksdict raises bare Exception
                if self.failed is None:
                    raise LogFailed(self.path, exc) from exc

    # -- inside

    def _open(self) -> _Opened:
        database = open_database(self.path)
        try:
            topics = load_topics(database)
            return database, topics, load_committed(database, topics)
        except BaseException:
            database.close()
            raise

    def _use(self, opened: _Opened) -> None:
        self._database, self._topics, self._committed = opened
        self._writer: Writer[_Waiting] = Writer(self._database, self.path, self._on_durable, self._on_failed)
        self._partitions: dict[tuple[str, int], Partition] = {
            partition.tp: partition for topic in self._topics.values() for partition in topic.partitions
        }

    def _open_again(self) -> _Opened:
        if not self._writer.closed:
            self._writer.close()
        with suppress(Exception):  # it repeats the error of the write that failed; rocksdict raises bare Exception
            self._database.close()
        return self._open()  # which writes the records of the WAL once more, and syncs them

    def _stored(self, source: Partition, first: int, last: int) -> Iterator[tuple[int, bytes]]:
        """Yield offsets and stored records from `first` to `last`. Raises LogBlockCorrupt, LogUnreadable."""
        if last - first < _SINGLE_GETS:
            # Mostly just appended: a get finds it in the write buffer, while an iterator would look into every file.
            for offset in range(first, last + 1):
                if (raw := get(self._database, source.prefix + keys.pack_offset(offset))) is not None:
                    yield offset, raw
            return
        start, end = source.prefix + keys.pack_offset(first), source.prefix + keys.pack_offset(last + 1)
        for key, raw in scan(self._database, start, source.prefix, end):
            yield keys.parse_offset(key), raw

    def _partition(self, topic: str, partition: int) -> Partition:
        try:
            return self._partitions[topic, partition]
        except KeyError:
            raise UnknownTopic(topic, partition) from None

    def _put(self, key: bytes, value: bytes) -> None:
        self._writer.put(key, value)
        self._wait()

    def _wait(self, committed: _Committed | None = None) -> "asyncio.Future[None]":
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._writer.tag((future, committed or {}, 0, 0))
        return future

    def _on_durable(self, waiting: list[_Waiting]) -> None:
        touched: set[TopicPartition] = set()
        for future, target, offset, timestamp in waiting:
            if isinstance(target, dict):
                self._committed.update(target)
                if not future.done():
                    future.set_result(None)
                continue
            target.end = offset + 1
            touched.add(target.tp)
            if not future.done():
                future.set_result(Appended(target.topic, target.number, offset, timestamp))
        if touched:
            for callback in self._listeners:
                callback(touched)

    def _on_failed(self, waiting: list[_Waiting], failure: LogFailed) -> None:
        for future, _, _, _ in waiting:
            if not future.done():
                future.set_exception(failure)
                future.exception()  # else asyncio would log it for each append that nobody awaits
        for callback in self._failed_listeners:
            callback(failure)
