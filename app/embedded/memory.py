"""What cleaning remembers of a partition, below the prefix `k`, so that it reads each record only once.

| key, after `k` topic id, partition  | value                                                                        |
|-------------------------------------|------------------------------------------------------------------------------|
| `s`                                 | first offset not read, stored bytes before it, whether keys are indexed       |
| `n` digest of a record's key        | offset and stored bytes of the newest record with that key                   |
| `t` offset of a tombstone           | the time in ms from which it may be removed, digest of its key               |
"""

import struct
from collections.abc import Iterator
from hashlib import blake2b
from typing import NamedTuple

from rocksdict import Rdict, WriteBatch

from . import keys
from .store import get, scan
from .topic import Partition

_seen = struct.Struct(">QQ?")
_newest = struct.Struct(">QI")
_due = struct.Struct(">q")

DIGEST_BYTES = 16  # as in Kafka's cleaner: collisions are not to be expected


def digest_of(key: bytes) -> bytes:
    """The digest that stands for a record's key."""
    return blake2b(key, digest_size=DIGEST_BYTES).digest()


class Seen(NamedTuple):
    """How far a partition was read: up to `offset`; the records left before it have `size` stored bytes."""

    offset: int = 0
    size: int = 0
    indexed: bool = True  # whether the newest record of each key is known


class Newest(NamedTuple):
    """Where the newest record of a key is, and its stored bytes."""

    offset: int
    size: int


class Memory:
    """Reads the memory of a partition, and adds changes to the batch that makes them true."""

    def __init__(self, database: Rdict, partition: Partition) -> None:
        prefix = keys.CLEANING + partition.prefix[len(keys.RECORD) :]
        self._database = database
        self._seen = prefix + b"s"
        self._newest = prefix + b"n"
        self._tombstones = prefix + b"t"

    def seen(self) -> Seen:
        """How far the partition was read."""
        stored = get(self._database, self._seen)
        return Seen() if stored is None else Seen(*_seen.unpack(stored))

    def newest(self, digest: bytes) -> Newest | None:
        """The newest record of a key among those read."""
        stored = get(self._database, self._newest + digest)
        return None if stored is None else Newest(*_newest.unpack(stored))

    def tombstones(self) -> Iterator[tuple[int, int, bytes]]:
        """Offset, time in ms from which it may be removed, and digest of each tombstone read, oldest first."""
        for key, value in scan(self._database, self._tombstones, self._tombstones):
            yield keys.parse_offset(key), _due.unpack_from(value)[0], value[_due.size :]

    def set_seen(self, batch: WriteBatch, seen: Seen) -> None:
        batch.put(self._seen, _seen.pack(*seen))

    def set_newest(self, batch: WriteBatch, digest: bytes, newest: Newest) -> None:
        batch.put(self._newest + digest, _newest.pack(*newest))

    def forget_newest(self, batch: WriteBatch, digest: bytes) -> None:
        batch.delete(self._newest + digest)

    def set_tombstone(self, batch: WriteBatch, offset: int, due: int, digest: bytes) -> None:
        batch.put(self._tombstones + keys.pack_offset(offset), _due.pack(due) + digest)

    def forget_tombstone(self, batch: WriteBatch, offset: int) -> None:
        batch.delete(self._tombstones + keys.pack_offset(offset))
