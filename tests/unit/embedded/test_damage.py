"""A damaged file is reported: an acknowledged record is read as it was written, or not at all."""

import asyncio
import os
import random
import resource
import shutil
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from rocksdict import Options

from app.embedded import store
from app.embedded.errors import LogBlockCorrupt, LogUnreadable
from app.embedded.log import Log
from tests.unit.embedded.test_log import opened

RECORDS = 150
TRIES = 40


def value(number: int) -> bytes:
    return random.Random(number).randbytes(400)


async def write(path: Path) -> Path:
    """The files of an open log of RECORDS batches, all of them in the write-ahead log."""
    async with opened(path) as log:
        for number in range(RECORDS):
            await log.append("calls", 0, b"key", value(number))
        await log.commit("group", {("calls", 0): RECORDS})
        shutil.copytree(log.path, path / "copy")
    return path / "copy"


def found(path: Path) -> tuple[list[bytes | None], int | None]:
    """All values in a log, and the committed offset."""

    async def read() -> tuple[list[bytes | None], int | None]:
        log = Log(path)
        try:
            values: list[bytes | None] = []
            while records := log.read("calls", 0, len(values)):
                values += [record.value for record in records]
            return values, log.committed("group", "calls", 0)
        finally:
            await log.close()

    return asyncio.run(read())


def damaged(path: Path, file: Path, change: Callable[[bytearray], None]) -> Path:
    """A copy of a log with `change` applied to one file."""
    copy = path.parent / "damaged"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(path, copy)
    content = bytearray(file.read_bytes())
    change(content)
    (copy / file.name).write_bytes(content)
    return copy


def flip(at: int) -> Callable[[bytearray], None]:
    def change(content: bytearray) -> None:
        content[at] ^= 1 << at % 8

    return change


def largest(path: Path, kind: str) -> Path:
    return max(path.glob(f"*.{kind}"), key=lambda file: file.stat().st_size)


def in_tables(path: Path) -> Path:
    """The same log, all of it in RocksDB's table files, as opening moves the write-ahead log there."""
    asyncio.run(Log(path).close())
    return path


@pytest.mark.parametrize("kind", ["log", "sst"])
def test_a_flipped_bit_anywhere_is_told_and_no_record_is_skipped(tmp_path: Path, kind: str) -> None:
    path = asyncio.run(write(tmp_path))
    if kind == "sst":
        in_tables(path)
    file = largest(path, kind)
    everything = ([value(number) for number in range(RECORDS)], RECORDS)
    assert found(damaged(path, file, lambda content: None)) == everything
    seed = random.randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    # Damage in the last two batches of a write-ahead log looks like a write that was cut off.
    size = file.stat().st_size - (1000 if kind == "log" else 0)
    told = 0
    for at in (0, size - 1, *chance.choices(range(size), k=TRIES)):  # in an `.sst` it is opened by its last bytes
        try:
            read = found(damaged(path, file, flip(at)))
        except LogBlockCorrupt:
            told += 1
        else:
            assert read == everything, at
    assert told > TRIES // 2


def test_a_log_whose_manifest_is_missing_is_damaged(tmp_path: Path) -> None:
    path = in_tables(asyncio.run(write(tmp_path)))
    for file in path.glob("MANIFEST-*"):
        file.unlink()
    with pytest.raises(LogBlockCorrupt, match="restore the directory from a backup"):
        found(path)


async def test_damage_that_compaction_finds_is_told_at_the_next_write_and_not_as_a_disk_that_cannot_be_written(
    tmp_path: Path,
) -> None:
    path = await asyncio.to_thread(in_tables, await write(tmp_path))
    file = largest(path, "sst")
    log = Log(damaged(path, file, flip(file.stat().st_size // 2)))
    failed: list[Exception] = []
    log.on_failed(failed.append)
    await log.append("calls", 0, b"key", b"value")
    log._database.compact_range(None, None)  # as RocksDB does by itself when there are enough files
    with pytest.raises(LogBlockCorrupt, match=r"is damaged \(Corruption: .*restore the directory from a backup"):
        await log.append("calls", 0, b"key", b"value")
    await log.close()
    assert [type(failure) for failure in failed] == [LogBlockCorrupt]


async def test_a_log_that_cannot_be_read_for_lack_of_open_files_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def few_open_files() -> Options:
        options = database_options()
        options.set_max_open_files(20)
        options.set_disable_auto_compactions(True)
        return options

    database_options = store.database_options
    monkeypatch.setattr(store, "database_options", few_open_files)
    async with opened(tmp_path) as log:
        for number in range(RECORDS):
            await log.append("calls", 0, b"key", value(number))
            if number % 5 == 0:
                log._database.flush()  # to a file of its own
    log = Log(log.path)
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ExitStack() as held:
        held.callback(resource.setrlimit, resource.RLIMIT_NOFILE, limit)
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, limit[1]))
        with suppress(OSError):
            while True:
                held.enter_context(open(os.devnull))
        for first in (0, RECORDS - 10):  # read by an iterator, and by a get
            with pytest.raises(LogUnreadable, match=r"cannot be read \(IO error: .*Too many open files"):
                log.read("calls", 0, first)
    assert [record.value for record in log.read("calls", 0, 0)] == [value(number) for number in range(RECORDS)]
    await log.close()


@pytest.mark.parametrize("missing", [1, 40, 410])
async def test_a_write_that_was_cut_off_is_dropped_and_all_before_it_is_there(tmp_path: Path, missing: int) -> None:
    path = await write(tmp_path)

    def cut(content: bytearray) -> None:
        del content[-missing:]

    values, committed = await asyncio.to_thread(found, damaged(path, largest(path, "log"), cut))
    # The commit was the last batch, of 45 bytes, and before it lies a record.
    assert values == [value(number) for number in range(RECORDS - (missing > 45))]
    assert committed is None


async def test_garbage_where_the_last_write_was_is_dropped(tmp_path: Path) -> None:
    path = await write(tmp_path)

    def spoil(content: bytearray) -> None:
        content[-20:] = bytes(20)
        content += b"garbage" * 100

    values, committed = await asyncio.to_thread(found, damaged(path, largest(path, "log"), spoil))
    assert (len(values), committed) == (RECORDS, None)


async def test_damage_before_synced_records_is_refused_with_the_file_and_the_place(tmp_path: Path) -> None:
    path = await write(tmp_path)
    file = largest(path, "log")
    with pytest.raises(LogBlockCorrupt, match=rf"is damaged \({file.name} at byte \d+, with synced records behind"):
        Log(damaged(path, file, flip(file.stat().st_size // 2)))


async def test_time_does_not_go_back_in_a_partition_when_the_clock_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [5_000_000_000, 9_000_000_000, 2_000_000_000, 3_000_000_000, 10_000_000_000]
    monkeypatch.setattr("time.time_ns", lambda: clock[0])
    while clock:
        async with opened(tmp_path) as log:  # each after a restart
            appended = await log.append("calls", 0, None, b"")
            other = await log.append("calls", 1, None, b"", timestamp=7)
            assert log.read("calls", 0, appended.offset)[0].timestamp == appended.timestamp
            assert other.timestamp == 7
            clock.pop(0)
    async with opened(tmp_path) as log:
        assert [record.timestamp for record in log.read("calls", 0, 0)] == [5000, 9000, 9000, 9000, 10000]


async def test_a_time_that_is_given_is_kept_and_what_follows_is_not_before_the_latest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time_ns", lambda: 8_000_000_000)
    async with opened(tmp_path) as log:
        for given in (9000, 7000, None):
            await log.append("calls", 0, None, b"", timestamp=given)
        assert [record.timestamp for record in log.read("calls", 0, 0)] == [9000, 7000, 9000]
