"""A write that was cut off is told from the loss of synced ones by the batches that lie behind the damage."""

import struct
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pytest
from aiokafka.record.util import calc_crc32c
from hypothesis import given
from hypothesis import strategies as st

from app.embedded import keys
from app.embedded.wal import Damage, find_damage

BLOCK = 32 * 1024
HEAD = 7  # bytes of a fragment: checksum, length, type


class Batch(NamedTuple):
    size: int  # of its value
    of_writer: bool = True
    entries: int = 1


class Placed(NamedTuple):
    """Where a batch lies in its file."""

    start: int
    end: int
    heads: list[int]  # where its fragments begin
    of_writer: bool


def payload(batch: Batch, sequence: int) -> bytes:
    key = (keys.RECORD if batch.of_writer else keys.CLEANING) + b"key"
    return struct.pack("<QIBB", sequence, batch.entries, 1, len(key)) + key + bytes(batch.size)


def write(batches: Sequence[Batch], sequence: int = 1) -> tuple[bytearray, list[Placed]]:
    """The bytes of a WAL as RocksDB writes it, and where each batch lies."""
    raw, placed = bytearray(), []
    for batch in batches:
        left, heads = payload(batch, sequence), []
        sequence += batch.entries
        if BLOCK - len(raw) % BLOCK < HEAD:
            raw += bytes(BLOCK - len(raw) % BLOCK)
        start = len(raw)
        while True:
            room = BLOCK - len(raw) % BLOCK - HEAD
            if room < 0:
                raw += bytes(room + HEAD)
                continue
            part, left = left[:room], left[room:]
            first = len(raw) == start
            kind = bytes([(1 if first else 4) if not left else (2 if first else 3)])
            crc = calc_crc32c(kind + part)
            masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
            heads.append(len(raw))
            raw += struct.pack("<IH", masked, len(part)) + kind + part
            if not left:
                break
        placed.append(Placed(start, len(raw), heads, batch.of_writer))
    return raw, placed


def found(*files: bytes | bytearray) -> Damage | None:
    with TemporaryDirectory() as folder:
        for number, raw in enumerate(files, 8):  # RocksDB's numbers: the tenth comes after the ninth
            (Path(folder) / f"{number}.log").write_bytes(raw)
        return find_damage(Path(folder))


# A batch takes 25 bytes more: what comes after one of the second kind begins in the last bytes of a block.
SIZES = st.one_of(st.integers(0, 200), st.integers(BLOCK - 60, BLOCK - 20), st.just(3 * BLOCK))
BATCHES = st.lists(st.builds(Batch, SIZES, st.booleans(), st.integers(1, 3)), min_size=1, max_size=7)


@given(BATCHES)
def test_a_log_that_is_whole_has_no_damage_however_its_batches_lie_in_its_blocks(batches: list[Batch]) -> None:
    raw, _ = write(batches)
    assert found(raw) is None
    assert found(raw + bytes(100)) is None  # allocated, and never written
    assert found(raw + bytes(2 * BLOCK)) is None


@given(BATCHES, st.data())
def test_a_batch_is_lost_if_two_of_the_writers_lie_behind_it(batches: list[Batch], data: st.DataObject) -> None:
    raw, placed = write(batches)
    number = data.draw(st.integers(0, len(placed) - 1))
    broken = placed[number]
    heads = st.builds(int.__add__, st.sampled_from(broken.heads), st.integers(0, HEAD - 1))
    at = data.draw(heads | st.integers(broken.start, broken.end - 1))
    raw[at] ^= 1 << data.draw(st.integers(0, 7))
    damage = found(raw)
    assert damage is not None
    behind = [batch for batch in placed[number + 1 :] if batch.of_writer]
    head = max(head for head in broken.heads if head <= at)
    if at - head in (4, 5):  # of the length: what follows in its block cannot be told apart
        seen = [batch for batch in behind if batch.start >= (head // BLOCK + 1) * BLOCK]
        assert len(seen) < 2 or damage.lost
        assert len(behind) > 1 or not damage.lost
    else:
        assert damage.lost == (len(behind) > 1)
    assert damage.at in broken.heads


@given(BATCHES, st.data())
def test_a_write_that_was_cut_off_loses_nothing(batches: list[Batch], data: st.DataObject) -> None:
    raw, placed = write(batches)
    between = st.integers(placed[-1].start + 1, placed[-1].end - 1)
    at = data.draw(between | st.sampled_from(placed[-1].heads[1:]) if placed[-1].heads[1:] else between)
    for rest in (b"", bytes(10), bytes(BLOCK), b"garbage" * 20):
        damage = found(raw[:at] + rest)
        assert damage is None or not damage.lost
    assert (found(raw[:at]) is not None) == any(raw[placed[-1].start : at])
    assert found(raw[: placed[-1].start]) is None


@pytest.mark.parametrize("left", range(HEAD, HEAD + 20))
def test_a_batch_counts_of_whose_beginning_only_few_bytes_fit_into_a_block(left: int) -> None:
    raw, placed = write([Batch(10), Batch(BLOCK - left - 60, of_writer=False), Batch(100), Batch(100)])
    assert placed[2].heads == [BLOCK - left, BLOCK]
    assert found(raw[: placed[3].start] + b"cut", write([Batch(10)] * 3, 4)[0]) is None
    raw[20] ^= 1
    damage = found(raw)
    assert damage is not None
    assert damage.lost


@pytest.mark.parametrize("files", [1, 3])
def test_a_log_that_was_opened_again_after_a_write_was_cut_off_has_lost_nothing(files: int) -> None:
    whole, _ = write([Batch(50), Batch(50)])
    cut = whole + write([Batch(300)], 3)[0][:100]
    assert found(cut, write([Batch(10)] * 5, 3)[0], *[write([Batch(10)], 8 + n)[0] for n in range(files)]) is None
    lost: Any = found(cut, write([Batch(10)] * 5, 4)[0])  # what had the sequence number 3 had been synced
    assert (lost.wal.name, lost.at, lost.lost) == ("8.log", len(whole), True)
