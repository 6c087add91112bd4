import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from app.embedded import keys
from app.embedded.errors import InvalidOffset, InvalidTopic, LogClosed, PartitionCountMismatch, UnknownTopic
from app.embedded.log import Log
from app.embedded.record import TopicPartition
from app.embedded.store import open_database


@asynccontextmanager
async def opened(path: Path, partitions: int = 2) -> AsyncIterator[Log]:
    log = Log(path / "log")
    log.create_topic("calls", partitions)
    yield log
    await log.close()


def values(log: Log, partition: int = 0, offset: int = 0) -> list[bytes | None]:
    return [record.value for record in log.read("calls", partition, offset)]


async def test_offsets_start_at_zero_and_grow_by_one_in_each_partition(tmp_path: Path) -> None:
    async with opened(tmp_path) as log:
        appended = await asyncio.gather(*[log.append("calls", n % 2, None, b"%d" % n) for n in range(6)])
        assert [(place.partition, place.offset) for place in appended] == [
            (0, 0),
            (1, 0),
            (0, 1),
            (1, 1),
            (0, 2),
            (1, 2),
        ]
        assert values(log, 1) == [b"1", b"3", b"5"]


async def test_reopened_log_has_every_record_and_goes_on_with_the_next_offset(tmp_path: Path) -> None:
    async with opened(tmp_path) as log:
        for n in range(3):
            log.append("calls", 0, b"key", b"%d" % n, timestamp=n, headers=[("name", b"content")])
    async with opened(tmp_path) as log:
        assert values(log) == [b"0", b"1", b"2"]
        assert (await log.append("calls", 0, None, b"3")).offset == 3
        assert log.highwater("calls", 0) == 4
        assert log.highwater("calls", 1) == 0


async def test_a_clock_that_was_far_ahead_is_reported_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    now = time.time_ns() // 1_000_000
    async with opened(tmp_path) as log:
        await log.append("calls", 0, None, b"", timestamp=now + 60_000)
        await log.append("calls", 0, None, b"")
        assert not caplog.records
        ahead = now + 3 * 3_600_000
        for number in (0, 1):
            await log.append("calls", number, None, b"", timestamp=ahead)
            assert (await log.append("calls", number, None, b"")).timestamp == ahead
    [record] = caplog.records
    assert record.levelname == "ERROR"
    assert "calls/0 is 179 minutes ahead of the clock" in record.message


async def test_offsets_of_records_that_were_cleaned_away_are_not_given_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as log:
        await log.append("calls", 0, None, b"cleaned")
        topic_id = log.topics["calls"].id
    database = open_database(tmp_path / "log")
    database.delete(keys.record_prefix(topic_id, 0) + keys.pack_offset(0))
    database.put(keys.bounds_key(topic_id, 0), keys.bounds_value(9, 9))
    database.close()
    async with opened(tmp_path) as log:
        assert (await log.append("calls", 0, None, b"new")).offset == 9
        assert log.earliest("calls", 0) == 9
        assert values(log, offset=0) == [b"new"]


async def test_record_can_be_read_after_its_sync_and_not_before(tmp_path: Path) -> None:
    async with opened(tmp_path) as log:
        await log.flush()
        appended = log.append("calls", 0, None, b"value")
        while not appended.done():
            assert log.highwater("calls", 0) == 0
            assert values(log) == []
            await asyncio.sleep(0)
        assert log.highwater("calls", 0) == 1
        assert values(log) == [b"value"]


async def test_appends_of_one_turn_and_of_a_running_sync_share_a_sync(tmp_path: Path) -> None:
    async with opened(tmp_path) as log:
        await log.flush()
        syncs: list[set[TopicPartition]] = []
        log.on_durable(syncs.append)
        first = [log.append("calls", n % 2, None, b"") for n in range(100)]
        await asyncio.sleep(0)  # written, and its sync begun
        second = [log.append("calls", 1, None, b"") for _ in range(100)]
        await asyncio.gather(*first, *second)
        assert syncs == [{("calls", 0), ("calls", 1)}, {("calls", 1)}]


async def test_what_is_pushed_amid_a_turn_is_durable_as_is_what_comes_after_it_in_that_turn(tmp_path: Path) -> None:
    async with opened(tmp_path) as log:
        appended = []
        for pushes in range(4):
            await log.flush()
            for number in range(4):
                appended.append(log.append("calls", 0, None, b"%d" % number))
                if number < pushes:
                    log.push()
        async with asyncio.timeout(10):
            assert [place.offset for place in await asyncio.gather(*appended)] == list(range(16))
        assert values(log) == [b"0", b"1", b"2", b"3"] * 4


def test_log_runs_on_uvloop(tmp_path: Path) -> None:
    async def main() -> int:
        async with opened(tmp_path) as log:
            return (await log.append("calls", 0, None, b"")).offset

    assert uvloop.run(main()) == 0


async def test_flush_waits_for_everything_appended(tmp_path: Path) -> None:
    async with opened(tmp_path) as log:
        first = log.append("calls", 0, None, b"")
        await asyncio.sleep(0)
        second = log.append("calls", 0, None, b"")
        await log.flush()
        assert first.done()
        assert second.done()
        assert log.backlog == 0


async def test_append_that_is_cancelled_is_still_appended(tmp_path: Path) -> None:
    async with opened(tmp_path) as log:
        log.append("calls", 0, None, b"cancelled").cancel()
        await log.append("calls", 0, None, b"next")
        assert values(log) == [b"cancelled", b"next"]


async def test_append_of_something_else_than_bytes_takes_no_offset(tmp_path: Path) -> None:
    async with opened(tmp_path) as log:
        with pytest.raises(TypeError):
            log.append("calls", 0, None, "text")  # type: ignore[arg-type]
        assert (await log.append("calls", 0, None, b"")).offset == 0


async def test_read_is_bounded_by_records_and_bytes_and_always_gets_on(tmp_path: Path) -> None:
    async with opened(tmp_path) as log:
        await asyncio.gather(*[log.append("calls", 0, None, bytes(1000)) for _ in range(10)])
        assert len(log.read("calls", 0, 0, max_records=3)) == 3
        assert len(log.read("calls", 0, 0, max_bytes=2500)) == 3
        assert [record.offset for record in log.read("calls", 0, 9, max_bytes=1)] == [9]
        assert log.read("calls", 0, 10) == []


async def test_asking_for_another_partition_count_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path, partitions=2) as log:
        assert not log.create_topic("calls", 2, {"cleanup.policy": "compact"})
        with pytest.raises(PartitionCountMismatch, match="calls has 2 partitions and 8 were asked for"):
            log.create_topic("calls", 8)
    with pytest.raises(PartitionCountMismatch):
        async with opened(tmp_path, partitions=8):
            pass


async def test_config_of_a_topic_survives_reopening(tmp_path: Path) -> None:
    async with opened(tmp_path) as log:
        log.create_topic("calls", 2, {"cleanup.policy": "compact"})
        log.create_topic("calls", 2)
    async with opened(tmp_path) as log:
        assert log.topics["calls"].config == {"cleanup.policy": "compact"}


@pytest.mark.parametrize(("topic", "partitions"), [("", 1), ("a\0b", 1), ("t" * 250, 1), ("t", 0)])
async def test_topic_that_cannot_be_stored_is_refused(tmp_path: Path, topic: str, partitions: int) -> None:
    async with opened(tmp_path) as log:
        with pytest.raises(InvalidTopic):
            log.create_topic(topic, partitions)


async def test_unknown_topics_and_partitions_are_refused(tmp_path: Path) -> None:
    async with opened(tmp_path) as log:
        for topic, partition in [("other", 0), ("calls", 2)]:
            with pytest.raises(UnknownTopic):
                log.append(topic, partition, None, b"")
            with pytest.raises(UnknownTopic):
                log.read(topic, partition, 0)
            with pytest.raises(UnknownTopic):
                log.commit("group", {(topic, partition): 0})


async def test_committed_offsets_survive_reopening_each_for_its_group(tmp_path: Path) -> None:
    async with opened(tmp_path) as log:
        await asyncio.gather(*[log.append("calls", 1, None, b"") for _ in range(5)])
        await log.commit("one", {("calls", 1): 3})
        await log.commit("two", {("calls", 1): 5, ("calls", 0): 0})
    async with opened(tmp_path) as log:
        assert log.committed("one", "calls", 1) == 3
        assert log.committed("two", "calls", 1) == 5
        assert log.committed("two", "calls", 0) == 0
        assert log.committed("one", "calls", 0) is None


async def test_commit_beyond_the_end_is_refused_and_commits_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as log:
        await log.append("calls", 0, None, b"")
        with pytest.raises(InvalidOffset):
            log.commit("group", {("calls", 0): 1, ("calls", 1): 1})
        await log.flush()
        assert log.committed("group", "calls", 0) is None


async def test_closed_log_says_so(tmp_path: Path) -> None:
    async with opened(tmp_path) as log:
        pass
    for use in (
        lambda: log.append("calls", 0, None, b""),
        lambda: log.commit("g", {}),
        lambda: log.read("calls", 0, 0),
    ):
        with pytest.raises(LogClosed, match="is closed"):
            use()
    await log.close()


content = st.none() | st.binary(max_size=50)
records = st.tuples(st.integers(0, 2), content, content, st.lists(st.tuples(st.text(max_size=5), content), max_size=2))


@settings(max_examples=25, deadline=None)
@given(st.lists(records, max_size=40), st.integers(0, 40), st.integers(1, 10))
def test_whatever_is_appended_is_read_back_in_order_also_after_reopening(
    appended: list[tuple[int, bytes | None, bytes | None, list[tuple[str, bytes | None]]]], reopen: int, batch: int
) -> None:
    async def main(path: Path) -> None:
        for part in (appended[:reopen], appended[reopen:]):
            async with opened(path, partitions=3) as log:
                for partition, key, value, headers in part:
                    log.append("calls", partition, key, value, headers=headers)
                    if random.random() < 0.2:
                        await log.flush()
        async with opened(path, partitions=3) as log:
            for partition in range(3):
                found: list[object] = []
                while records := log.read("calls", partition, len(found), max_records=batch):
                    assert [record.offset for record in records] == list(range(len(found), len(found) + len(records)))
                    found += [(record.key, record.value, record.headers) for record in records]
                assert found == [tuple(rest) for number, *rest in appended if number == partition]

    with TemporaryDirectory() as folder:
        asyncio.run(main(Path(folder)))
