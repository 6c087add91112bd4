"""Cleaning keeps what must be kept, removes what may be removed, and can be interrupted at any point."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.embedded import cleaning
from app.embedded.cleaning import CleanedStats
from app.embedded.errors import NotCompacted, UnknownTopic
from app.embedded.log import Log

COMPACT = {"cleanup.policy": "compact"}
AT_ONCE = COMPACT | {"delete.retention.ms": 0}


@asynccontextmanager
async def opened(path: Path, config: Mapping[str, object]) -> AsyncIterator[Log]:
    log = Log(path / "log")
    log.create_topic("rows", 2, config)
    yield log
    await log.close()


async def put(log: Log, *records: tuple[bytes | None, bytes | None], timestamp: int | None = None) -> None:
    await asyncio.gather(*[log.append("rows", 0, key, value, timestamp) for key, value in records])


def kept(log: Log, start: int = 0) -> dict[int, tuple[bytes | None, bytes | None]]:
    return {record.offset: (record.key, record.value) for record in log.read("rows", 0, start, 100_000, 1 << 30)}


async def some_slices() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_newest_record_of_each_key_is_kept_at_its_offset(tmp_path: Path) -> None:
    async with opened(tmp_path, COMPACT) as log:
        await put(log, (b"a", b"1"), (b"b", b"1"), (b"a", b"2"), (b"c", b"1"), (b"a", b"3"))
        stats = await log.compact("rows")
        assert stats[:2] == (5, 2)
        assert kept(log) == {1: (b"b", b"1"), 3: (b"c", b"1"), 4: (b"a", b"3")}
        assert (log.earliest("rows", 0), log.highwater("rows", 0)) == (0, 5)
        await put(log, (b"b", b"2"))
        assert kept(log) == {1: (b"b", b"1"), 3: (b"c", b"1"), 4: (b"a", b"3"), 5: (b"b", b"2")}
        assert (await log.compact("rows"))[:2] == (1, 1)
    async with opened(tmp_path, COMPACT) as log:
        assert await log.compact("rows") == CleanedStats()
        assert kept(log) == {3: (b"c", b"1"), 4: (b"a", b"3"), 5: (b"b", b"2")}


async def test_records_without_a_key_are_kept(tmp_path: Path) -> None:
    async with opened(tmp_path, COMPACT) as log:
        await put(log, (None, b"1"), (None, b"2"), (b"", b"1"), (b"", b"2"))
        await log.compact("rows")
        assert kept(log) == {0: (None, b"1"), 1: (None, b"2"), 3: (b"", b"2")}


async def test_tombstone_goes_only_after_its_time_and_takes_what_it_deletes_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    time = 1_000_000
    monkeypatch.setattr(cleaning, "now", lambda: time)
    async with opened(tmp_path, COMPACT | {"delete.retention.ms": 500}) as log:
        await put(log, (b"a", b"1"), (b"a", None), (b"b", b"1"))
        await log.compact("rows")
        assert kept(log) == {1: (b"a", None), 2: (b"b", b"1")}
        time += 499
        await log.compact("rows")
        assert 1 in kept(log)
        time += 1
        assert (await log.compact("rows")).removed == 1
        assert kept(log) == {2: (b"b", b"1")}
        await put(log, (b"a", b"2"))
        assert (await log.compact("rows"))[:2] == (1, 0)
        assert kept(log) == {2: (b"b", b"1"), 3: (b"a", b"2")}


async def test_last_record_is_kept_also_a_tombstone_so_that_recovery_ends(tmp_path: Path) -> None:
    async with opened(tmp_path, AT_ONCE) as log:
        await put(log, (b"a", b"1"), (b"a", None))
        await log.compact("rows")
        assert kept(log) == {1: (b"a", None)}
        await put(log, (b"b", b"1"))
        await log.compact("rows")
        assert kept(log) == {2: (b"b", b"1")}


async def test_tombstone_that_was_written_over_is_no_tombstone_any_more(tmp_path: Path) -> None:
    async with opened(tmp_path, AT_ONCE) as log:
        await put(log, (b"a", None), (b"a", b"2"), (b"b", b"1"))
        await log.compact("rows")
        await log.compact("rows")
        assert kept(log) == {1: (b"a", b"2"), 2: (b"b", b"1")}
        await put(log, (b"a", b"3"))
        await log.compact("rows")
        assert kept(log) == {2: (b"b", b"1"), 3: (b"a", b"3")}


async def test_topic_that_is_kept_whole_is_not_compacted(tmp_path: Path) -> None:
    for config in ({}, {"cleanup.policy": "delete", "retention.ms": -1, "retention.bytes": "-1"}):
        async with opened(tmp_path, config) as log:
            await put(log, (b"a", b"1"), (b"a", b"2"), timestamp=0)
            before = kept(log)
            assert await log.clean() == CleanedStats()
            with pytest.raises(NotCompacted, match="rows is kept whole"):
                await log.compact("rows")
            with pytest.raises(UnknownTopic):
                await log.compact("other")
            assert kept(log) == before


async def test_records_older_than_the_retention_go_and_the_partition_starts_behind_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cleaning, "now", lambda: 10_000)
    async with opened(tmp_path, {"cleanup.policy": "delete", "retention.ms": "1000"}) as log:
        for timestamp in (8_000, 8_999, 9_000, 9_500, 8_500):
            await put(log, (None, b"%d" % timestamp), timestamp=timestamp)
        assert (await log.clean()).removed == 2
        assert list(kept(log)) == [2, 3, 4]
        assert log.earliest("rows", 0) == 2
    async with opened(tmp_path, {"cleanup.policy": "delete", "retention.ms": "1000"}) as log:
        assert log.earliest("rows", 0) == 2
        assert list(kept(log)) == [2, 3, 4]


async def test_partition_that_lost_all_its_records_goes_on_with_the_next_offset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cleaning, "now", lambda: 10_000)
    async with opened(tmp_path, {"cleanup.policy": "delete", "retention.ms": 0}) as log:
        await put(log, (None, b"0"), (None, b"1"), timestamp=1)
        await log.clean()
        assert kept(log) == {}
    async with opened(tmp_path, {}) as log:
        assert (log.earliest("rows", 0), log.highwater("rows", 0)) == (2, 2)
        await put(log, (None, b"2"))
        assert kept(log) == {2: (None, b"2")}


async def test_partition_bigger_than_its_retention_loses_its_oldest_records(tmp_path: Path) -> None:
    stored = 17 + 15 + 1000  # key, record's head, value
    async with opened(tmp_path, {"cleanup.policy": "delete", "retention.bytes": 10 * stored}) as log:
        for _ in range(3):
            await put(log, *[(None, bytes(1000))] * 8)
            await log.clean()
        assert list(kept(log)) == list(range(14, 24))
        assert (await log.clean()).removed == 0


async def test_topic_both_compacted_and_deleted_forgets_the_keys_it_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cleaning, "now", lambda: 10_000)
    async with opened(tmp_path, {"cleanup.policy": "compact,delete", "retention.ms": 1000}) as log:
        await put(log, (b"a", b"1"), (b"b", b"1"), timestamp=1)
        await put(log, (b"a", b"2"), (b"c", b"1"), timestamp=9_999)
        assert (await log.clean()).removed == 2
        assert kept(log) == {2: (b"a", b"2"), 3: (b"c", b"1")}
        await put(log, (b"b", b"2"), timestamp=9_999)
        assert (await log.clean()).removed == 0


async def test_slices_leave_the_loop_free_and_appends_between_them_are_cleaned_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cleaning, "SLICE_SECONDS", 0)  # the fewest records a slice
    async with opened(tmp_path, AT_ONCE) as log:
        await put(log, *[(b"%d" % (n % 50), b"%d" % n) for n in range(1000)])
        task = asyncio.create_task(log.compact("rows"))
        appended = 1000
        while not task.done():
            log.append("rows", 0, b"%d" % (appended % 50), b"%d" % appended)
            appended += 1
            await asyncio.sleep(0)
        await log.flush()
        assert appended > 1001
        await log.compact("rows")
        assert kept(log) == {n: (b"%d" % (n % 50), b"%d" % n) for n in range(appended - 50, appended)}


async def test_cleaning_that_is_cut_off_is_taken_up_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cleaning, "SLICE_SECONDS", 0)
    async with opened(tmp_path, AT_ONCE) as log:
        await put(log, *[(b"%d" % (n % 50), b"%d" % n) for n in range(1000)])
        task = asyncio.create_task(log.compact("rows"))
        await some_slices()
        task.cancel()
    async with opened(tmp_path, AT_ONCE) as log:
        assert 0 < (await log.compact("rows")).looked_at < 1000
        assert kept(log) == {n: (b"%d" % (n % 50), b"%d" % n) for n in range(950, 1000)}


async def test_closing_ends_a_cleaning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleaning, "SLICE_SECONDS", 0)
    async with opened(tmp_path, AT_ONCE) as log:
        await put(log, *[(b"%d" % (n % 50), b"%d" % n) for n in range(1000)])
        task = asyncio.create_task(log.compact("rows"))
        await some_slices()
    assert (await task).looked_at < 1000


async def test_disk_gets_back_the_room_of_what_was_compacted_away(tmp_path: Path) -> None:
    def used() -> int:
        return sum(path.stat().st_size for path in (tmp_path / "log").glob("*.sst"))

    async with opened(tmp_path, COMPACT) as log:
        for _ in range(20):
            await put(log, *[(b"%d" % n, random.randbytes(1000)) for n in range(2000)])
    async with opened(tmp_path, COMPACT) as log:
        before = used()
        await log.compact("rows")
        assert used() < before / 5
