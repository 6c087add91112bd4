"""What cleaning remembers of a partition, below the prefix `k`: it looks at each record once, whenever it is stopped.

| key, behind `k` topic id, partition | value                                                                        |
|-------------------------------------|------------------------------------------------------------------------------|
| `s`                                 | first offset not looked at, stored bytes before it, whether it was indexed    |
| `n` digest of a record's key        | offset and stored bytes of the newest record with that key                   |
| `t` offset of a tombstone           | the time in ms from which it may go, digest of its key                       |
"""

import struct
from collections.abc import Iterator
from hashlib import blake2b
from typing import NamedTuple

from rocksdict import Rdict, WriteBatch

from . import keys
from .store import scan
from .topic import Partition

_seen = struct.Struct(">QQ?")
_newest = struct.Struct(">QI")
_due = struct.Struct(">q")

DIGEST_BYTES = 16  # as Kafka's cleaner: two keys with one digest will not be met


def digest_of(key: bytes) -> bytes:
    """What a record's key is known by."""
    return blake2b(key, digest_size=DIGEST_BYTES).digest()


class Seen(NamedTuple):
    """How far a partition was looked at: up to `offset`; what is left before it has `size` stored bytes."""

    offset: int = 0
    size: int = 0
    indexed: bool = True  # whether the newest record of each key is known


class Newest(NamedTuple):
    """Where the newest record of a key is, and its stored bytes."""

    offset: int
    size: int


class Memory:
    """Reads and changes it; changes go into a batch, with what they belong to."""

    def __init__(self, database: Rdict, partition: Partition) -> None:
        prefix = keys.CLEANING + partition.prefix[len(keys.RECORD) :]
        self._database = database
        self._seen = prefix + b"s"
        self._newest = prefix + b"n"
        self._tombstones = prefix + b"t"

    def seen(self) -> Seen:
        """How far the partition was looked at."""
        stored = self._database.get(self._seen)
        return Seen() if stored is None else Seen(*_seen.unpack(stored))

    def newest(self, digest: bytes) -> Newest | None:
        """The newest record of a key among those looked at."""
        stored = self._database.get(self._newest + digest)
        return None if stored is None else Newest(*_newest.unpack(stored))

    def tombstones(self) -> Iterator[tuple[int, int, bytes]]:
        """Offset, time in ms from which it may go, and digest of the tombstones looked at, oldest first."""
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
