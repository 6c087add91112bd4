"""Cleaning a partition: compaction keeps the newest record of each key, retention drops the oldest records.

Both work in slices of about a millisecond on the event loop, between which records are appended and read. What a slice
removes and what it remembers is written as one batch, so a kill cannot leave half a slice. Offsets never change.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import NamedTuple, TypeVar

from rocksdict import Rdict, WriteBatch

from . import keys
from .memory import Memory, Newest, Seen, digest_of
from .policy import Policy
from .record import glance
from .store import scan
from .topic import Partition

SLICE_SECONDS = 0.001
ITEMS_PER_CLOCK_READ = 16

T = TypeVar("T")


class CleanedStats(NamedTuple):
    """What a cleaning did: records read for the first time, records removed, and their stored bytes."""

    looked_at: int = 0
    removed: int = 0
    removed_bytes: int = 0

    def __add__(self, other: object) -> "CleanedStats":
        assert isinstance(other, CleanedStats)
        return CleanedStats(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


async def clean(
    database: Rdict, wanted: Iterable[tuple[Partition, Policy]], usable: Callable[[], bool], pause: float
) -> CleanedStats:
    """Clean partitions one after the other while the log is usable; `pause` is the ratio of pausing to working."""
    total = CleanedStats()
    for partition, policy in wanted:
        started = time.perf_counter()
        for stats in Cleaning(database, partition, policy).slices():
            total += stats
            await asyncio.sleep(pause * (time.perf_counter() - started))
            if not usable():
                return total
            started = time.perf_counter()
    return total


class Cleaning:
    """Cleans one partition by its topic's policy."""

    def __init__(self, database: Rdict, partition: Partition, policy: Policy) -> None:
        self._database = database
        self._partition = partition
        self._policy = policy
        self._memory = Memory(database, partition)

    def slices(self) -> Iterator[CleanedStats]:
        """Clean what is there now, a slice for each item of the iterator, which may be abandoned at any point."""
        policy, end = self._policy, self._partition.end
        if policy.compact or policy.retention_bytes >= 0:
            while self._first_unread() < end:
                yield self._read_new(end)
        if policy.compact:
            while (stats := self._expire()) is not None:
                yield stats
        if policy.deletes:
            while (stats := self._retain()) is not None:
                yield stats

    def _first_unread(self) -> int:
        seen = self._memory.seen()
        return max(seen.offset if seen.indexed or not self._policy.compact else 0, self._partition.start)

    def _read_new(self, end: int) -> CleanedStats:
        """Read records that no cleaning has read yet, and remove the older ones that they supersede."""
        memory, compact, first = self._memory, self._policy.compact, self._first_unread()
        seen = memory.seen()
        size = seen.size if first >= seen.offset else 0
        due = now() + self._policy.delete_retention_ms
        offset, removed, removed_bytes = first, 0, 0
        batch = WriteBatch(raw_mode=True)
        newest: dict[bytes, Newest] = {}
        for found, stored, (key, tombstone, _) in self._records(first, end):
            offset = found + 1
            size += stored
            if key is None or not compact:
                continue  # a record without a key is kept, and supersedes nothing
            digest = digest_of(key)
            older = newest.get(digest) or memory.newest(digest)
            if older is not None and self._partition.start <= older.offset < found:
                batch.delete(self._key(older.offset))
                size, removed, removed_bytes = size - older.size, removed + 1, removed_bytes + older.size
            newest[digest] = Newest(found, stored)
            if tombstone:
                memory.set_tombstone(batch, found, due, digest)
        if offset == first:  # the last record is never removed
            raise LookupError(f"{self._partition.tp} has no readable record from offset {first} to its end {end}")
        for digest, place in newest.items():
            memory.set_newest(batch, digest, place)
        memory.set_seen(batch, Seen(offset, size, compact))
        self._database.write(batch)
        return CleanedStats(offset - first, removed, removed_bytes)

    def _expire(self) -> CleanedStats | None:
        """Remove tombstones that are old enough for every reader to have seen them."""
        memory, this_moment, last = self._memory, now(), self._partition.end - 1
        expired, removed, removed_bytes = 0, 0, 0
        batch = WriteBatch(raw_mode=True)
        for offset, due, digest in _for_a_slice(memory.tombstones()):
            if due > this_moment or offset == last:  # recovery knows the end of the partition by its last record
                break
            expired += 1
            memory.forget_tombstone(batch, offset)
            newest = memory.newest(digest)
            if newest is not None and newest.offset == offset:
                batch.delete(self._key(offset))
                memory.forget_newest(batch, digest)
                removed, removed_bytes = removed + 1, removed_bytes + newest.size
        if not expired:
            return None
        seen = memory.seen()
        memory.set_seen(batch, seen._replace(size=seen.size - removed_bytes))
        self._database.write(batch)
        return CleanedStats(0, removed, removed_bytes)

    def _retain(self) -> CleanedStats | None:
        """Remove the oldest records while they are too old, or the partition is too big."""
        partition, memory, limit = self._partition, self._memory, self._policy.retention_bytes
        oldest = now() - self._policy.retention_ms if self._policy.retention_ms >= 0 else None
        seen = memory.seen()
        size, start, removed, removed_bytes = seen.size, partition.start, 0, 0
        batch = WriteBatch(raw_mode=True)
        for offset, stored, (key, _, timestamp) in self._records(start, partition.end):
            if not (oldest is not None and timestamp < oldest) and not 0 <= limit < size:
                break
            start, removed, removed_bytes = offset + 1, removed + 1, removed_bytes + stored
            if offset < seen.offset:
                size -= stored
            if self._policy.compact and key is not None:
                digest = digest_of(key)
                newest = memory.newest(digest)
                if newest is not None and newest.offset == offset:
                    memory.forget_newest(batch, digest)
        if not removed:
            return None
        batch.delete_range(self._key(partition.start), self._key(start))
        batch.put(partition.bounds_key, keys.bounds_value(start, partition.end))
        memory.set_seen(batch, seen._replace(size=size))
        self._database.write(batch)
        partition.start = start
        return CleanedStats(0, removed, removed_bytes)

    def _key(self, offset: int) -> bytes:
        return self._partition.prefix + keys.pack_offset(offset)

    def _records(self, start: int, end: int) -> Iterator[tuple[int, int, tuple[bytes | None, bool, int]]]:
        """Yield offset, stored bytes and `glance` of the records from `start` to `end`, for the time of a slice."""
        for key, raw in _for_a_slice(scan(self._database, self._key(start), self._partition.prefix, self._key(end))):
            yield keys.parse_offset(key), len(key) + len(raw), glance(raw)


def _for_a_slice(items: Iterator[T]) -> Iterator[T]:
    """Yield items until the time of a slice is over, but at least one."""
    until = time.perf_counter() + SLICE_SECONDS
    for number, item in zip(count(1), items, strict=False):
        yield item
        if number % ITEMS_PER_CLOCK_READ == 0 and time.perf_counter() > until:
            return


def now() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000
