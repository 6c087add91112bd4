"""The keys of the log's RocksDB: one prefix byte, then big-endian parts, so that keys sort in reading order.

| key                                          | value                                     |
|----------------------------------------------|-------------------------------------------|
| `v`                                          | format version                            |
| `i`                                          | id of the log                             |
| `t` topic name                               | topic id, partition count, config (JSON)  |
| `b` topic id, partition                      | start offset, end offset                  |
| `r` topic id, partition, offset              | record                                    |
| `c` group, NUL, topic id, partition          | committed offset                          |
| `k` topic id, partition, …                   | what cleaning remembers, see `memory.py`  |
"""

import json
import struct
from collections.abc import Mapping
from typing import Any

FORMAT_VERSION = b"1"

VERSION = b"v"  # the greatest
ID = b"i"
TOPIC = b"t"
BOUNDS = b"b"
RECORD = b"r"
COMMITTED = b"c"
CLEANING = b"k"

_partition = struct.Struct(">II")
_topic = struct.Struct(">II")
_offset = struct.Struct(">Q")
_bounds = struct.Struct(">QQ")

pack_offset = _offset.pack
OFFSET_SIZE = _offset.size
PREFIX_SIZE = len(RECORD) + _partition.size


def topic_key(topic: str) -> bytes:
    """Return the key of a topic's id and config."""
    return TOPIC + topic.encode()


def topic_value(topic_id: int, partitions: int, config: Mapping[str, Any]) -> bytes:
    """Encode a topic's id, partition count and config."""
    return _topic.pack(topic_id, partitions) + json.dumps(config, sort_keys=True).encode()


def parse_topic(key: bytes, value: bytes) -> tuple[str, int, int, dict[str, Any]]:
    """Return name, id, partition count and config of a topic."""
    topic_id, partitions = _topic.unpack_from(value)
    return key[1:].decode(), topic_id, partitions, json.loads(value[_topic.size :])


def record_prefix(topic_id: int, partition: int) -> bytes:
    """Return the prefix of all record keys of a partition; the offset follows."""
    return RECORD + _partition.pack(topic_id, partition)


def after(prefix: bytes) -> bytes:
    """Return a key that sorts after all record keys with this prefix."""
    return prefix + b"\xff" * (OFFSET_SIZE + 1)


def parse_offset(key: bytes) -> int:
    """Return the offset at the end of a record's key."""
    offset: int = _offset.unpack_from(key, len(key) - OFFSET_SIZE)[0]
    return offset


def bounds_key(topic_id: int, partition: int) -> bytes:
    """Return the key of a partition's start and end offset."""
    return BOUNDS + _partition.pack(topic_id, partition)


def bounds_value(start: int, end: int) -> bytes:
    """Encode a partition's start and end offset."""
    return _bounds.pack(start, end)


def parse_bounds(value: bytes) -> tuple[int, int]:
    """Return a partition's start and end offset."""
    start, end = _bounds.unpack(value)
    return start, end


def committed_key(group: str, topic_id: int, partition: int) -> bytes:
    """Return the key of a consumer group's committed offset."""
    return COMMITTED + group.encode() + b"\0" + _partition.pack(topic_id, partition)


def parse_committed(key: bytes) -> tuple[str, int, int]:
    """Return group, topic id and partition of a committed offset's key."""
    topic_id, partition = _partition.unpack_from(key, len(key) - _partition.size)
    return key[1 : -_partition.size - 1].decode(), topic_id, partition
