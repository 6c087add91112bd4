"""A record of the log, and its stored form."""

import struct
from collections.abc import Sequence
from typing import NamedTuple

Headers = Sequence[tuple[str, bytes | None]]

_head = struct.Struct(">qiHB")  # timestamp ms, key length or -1, header count, whether there is a value
_header = struct.Struct(">Hi")  # name length, value length or -1
_HEAD_SIZE = _head.size
_pack_head = _head.pack
_unpack_head = _head.unpack_from


class TopicPartition(NamedTuple):
    """A partition of a topic; equal to any other (topic, partition) tuple."""

    topic: str
    partition: int


class Record(NamedTuple):
    """A record that was read. `timestamp` is in milliseconds since the epoch."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]


class Appended(NamedTuple):
    """Where a durable record is. `timestamp` is in milliseconds; Kafka's RecordMetadata has these fields too."""

    topic: str
    partition: int
    offset: int
    timestamp: int


def encode(timestamp: int, key: bytes | None, value: bytes | None, headers: Headers = ()) -> bytes:
    """Return the stored form of a record; its offset is in its key.

    Raises:
        TypeError: key, value or a header's value is not bytes.
        struct.error: more than 65,535 headers, or a header name longer than that.
    """
    if headers:
        parts = [_pack_head(timestamp, -1 if key is None else len(key), len(headers), value is not None), key or b""]
        for name, content in headers:
            encoded = name.encode()
            parts += (_header.pack(len(encoded), -1 if content is None else len(content)), encoded, content or b"")
        parts.append(value or b"")
        return b"".join(parts)
    if key is None:
        return _pack_head(timestamp, -1, 0, value is not None) + (value or b"")
    return _pack_head(timestamp, len(key), 0, value is not None) + key + (value or b"")


def decode(topic: str, partition: int, offset: int, raw: bytes) -> Record:
    """Return the record that `encode` stored."""
    timestamp, key_length, header_count, has_value = _unpack_head(raw)
    at = _HEAD_SIZE
    key = None
    if key_length >= 0:
        key = raw[at : at + key_length]
        at += key_length
    headers: list[tuple[str, bytes | None]] = []
    for _ in range(header_count):
        name_length, length = _header.unpack_from(raw, at)
        at += _header.size
        name = raw[at : at + name_length].decode()
        at += name_length
        headers.append((name, None if length < 0 else raw[at : at + length]))
        at += max(length, 0)
    return Record(topic, partition, offset, timestamp, key, raw[at:] if has_value else None, headers)


def glance(raw: bytes) -> tuple[bytes | None, bool, int]:
    """Return the key of a stored record, whether it is a tombstone, and its timestamp in milliseconds."""
    timestamp, key_length, _, has_value = _unpack_head(raw)
    key = raw[_HEAD_SIZE : _HEAD_SIZE + key_length] if key_length >= 0 else None
    return key, not has_value, timestamp
