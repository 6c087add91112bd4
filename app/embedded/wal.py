"""What damage to the write-ahead log means: a write that was cut off, or the loss of acknowledged records.

RocksDB reads a damaged write-ahead log up to the damage and silently drops the rest. After a power cut that is right,
as parts of an unsynced write may be missing. It is wrong if more follows: the writer syncs each batch before it writes
the next, so two of its batches behind the damage prove that the damaged one had been synced. (One does not, as a batch
of the cleaning, which is not synced, may be between two of the writer's.)

A WAL is blocks of 32 KiB of fragments: CRC-32C, length, type, payload. A batch is one fragment or several; it starts
with its sequence number and the number of its entries.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from aiokafka.record.util import calc_crc32c

from . import keys

_BLOCK = 32 * 1024
_fragment = struct.Struct("<IHB")
_batch = struct.Struct("<QI")
_FULL, _FIRST, _LAST = 1, 2, 4
_ZEROS = bytes(_fragment.size)
_PUT = 1
_START = _batch.size + 3  # bytes of a batch: its head, and of its first entry the type, the key's length and prefix


class Damage(NamedTuple):
    """The first damage in a WAL, and whether synced batches are lost."""

    wal: Path
    at: int
    lost: bool


class _Batch(NamedTuple):
    sequence: int
    entries: int
    of_writer: bool


def find_damage(folder: Path) -> Damage | None:
    """Read the write-ahead logs in a folder and return the first damage, None if there is none."""
    found: Damage | None = None
    expected: int | None = None
    behind = 0  # the writer's batches behind the damage that do not continue the sequence before it
    for wal in sorted(folder.glob("*.log"), key=lambda wal: int(wal.stem)):
        for item in _batches(wal.read_bytes()):
            if isinstance(item, int):
                found = found or Damage(wal, item, lost=False)
            elif found is None or item.sequence == expected:
                # A log that was opened again after the damage continues the sequence before it: nothing is lost.
                found, behind, expected = None, 0, item.sequence + item.entries
            else:
                behind += item.of_writer
    return found and found._replace(lost=behind > 1)


def _batches(raw: bytes) -> Iterator[_Batch | int]:
    """Each undamaged batch, and the position of each damage."""
    begun: tuple[int, bytes] | None = None  # position and first bytes of a batch whose last fragment is still to come
    for at, kind, payload in _fragments(raw):
        if kind in (_FULL, _FIRST, None):
            if begun is not None:
                yield begun[0]  # its last fragment is missing
            begun = None if kind is None else (at, payload[:_START])
        elif begun is not None:
            # The first fragment may be too small for the batch's sequence number.
            begun = begun[0], begun[1] + payload[: _START - len(begun[1])]
        if kind is None:
            yield at
        elif kind in (_FULL, _LAST) and begun is not None:
            if len(begun[1]) == _START:
                sequence, entries = _batch.unpack_from(begun[1])
                yield _Batch(sequence, entries, _is_of_writer(begun[1]))
            begun = None
    if begun is not None:
        yield begun[0]


def _fragments(raw: bytes) -> Iterator[tuple[int, int | None, bytes]]:
    """Position, type and payload of each fragment; a type of None is damage."""
    at = 0
    while at < len(raw):
        left = _BLOCK - at % _BLOCK
        if left < _fragment.size or raw[at : at + _fragment.size] == _ZEROS[: len(raw) - at]:
            if any(raw[at : at + left]):
                yield at, None, b""
            at += left  # the rest of a block is zeros: it was too small, or never written
            continue
        if at + _fragment.size > len(raw):
            yield at, None, b""
            return
        stored, length, kind = _fragment.unpack_from(raw, at)
        payload = raw[at + _fragment.size : at + _fragment.size + length]
        whole = length == len(payload) and _fragment.size + length <= left
        if whole and stored == _masked(calc_crc32c(raw[at + _fragment.size - 1 : at + _fragment.size + length])):
            yield at, kind, payload
        else:
            yield at, None, b""
        # If the length cannot be right, continue at the next block.
        at += _fragment.size + length if whole else left


def _is_of_writer(start: bytes) -> bool:
    """Whether a batch begins as the writer's do: with a put that is not of the cleaning's memory."""
    return start[_batch.size] == _PUT and start[_batch.size + 2 :] != keys.CLEANING


def _masked(crc: int) -> int:
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
