"""What callscore relies on a log for, on both: the same small app keeps its promises on each of them."""

import asyncio
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from faust.transport.drivers import aiokafka
from faust.types import TP

from app.embedded import delivery
from tests.brokers import Broker, kafka_only, on_both_logs
from tests.integration.small_app import PARTITIONS, READY_SECONDS, Place, Worker, build, place_of, running, started

pytestmark = on_both_logs

FIRST = {b"key-%d" % n: b"first" for n in range(100)}
SECOND = {b"key-%d" % n: b"second" for n in range(50, 150)}


@pytest.fixture
def place(broker: Broker, tmp_path: Path) -> Place:
    """Where the small app of a test runs."""
    return place_of(broker, tmp_path)


async def test_each_partition_counts_from_0_and_gives_its_records_in_the_order_they_were_appended(place: Place) -> None:
    async with running(place) as worker:
        appended = [worker.app.producer.append(worker.topic, n % PARTITIONS, b"%d" % n, b"%d" % n) for n in range(200)]
        places = [(metadata.partition, metadata.offset) for metadata in await asyncio.gather(*appended)]
        assert places == [(n % PARTITIONS, n // PARTITIONS) for n in range(200)]
        await worker.has_seen(200)
        for partition in range(PARTITIONS):
            assert [seen for seen in worker.seen if seen[0] == partition] == [(partition, n) for n in range(50)]
        assert worker.rows() == {b"%d" % n: b"%d" % n for n in range(200)}


async def test_a_record_that_is_acknowledged_is_below_the_end_of_its_partition(place: Place) -> None:
    async with running(place) as worker:
        tp = TP(worker.topic, 1)
        for number in range(20):
            metadata = await worker.app.producer.append(*tp, b"", b"x")
            assert (metadata.offset, (await worker.app.consumer.highwaters(tp))[tp]) == (number, number + 1)


async def test_records_that_are_appended_in_one_piece_follow_each_other_and_the_last_one_tells_of_all(
    place: Place,
) -> None:
    async with running(place) as worker:
        for first in (0, 10):
            records = [(b"key-%d" % n, b"%d" % n) for n in range(first, first + 10)]
            metadata = await worker.app.producer.append_all(worker.topic, 1, records)
            assert (metadata.partition, metadata.offset) == (1, first + 9)
        await worker.has_seen(20)
        assert worker.seen == [(1, n) for n in range(20)]


async def test_a_flush_waits_for_everything_that_was_appended(place: Place) -> None:
    async with running(place) as worker:
        appended = [worker.app.producer.append(worker.topic, 0, b"", b"%d" % n, owed=True) for n in range(500)]
        await worker.app.producer.flush()
        assert all(future.done() for future in appended)


async def test_a_stopped_worker_goes_on_behind_what_it_committed(place: Place) -> None:
    async with running(place) as worker:
        await worker.send(FIRST)
        await worker.has_seen(100)
    async with running(place) as again:
        assert sum(again.committed().values()) == 100
        await again.send(SECOND)
        await again.has_seen(100)
        assert not set(again.seen) & set(worker.seen)
        assert again.rows() == FIRST | SECOND


async def test_a_table_whose_files_are_lost_has_exactly_the_newest_value_of_each_key_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "RECOVER_RECORDS", 10)  # so that it takes several turns, as with many rows
    deleted = dict.fromkeys(list(FIRST)[:20], b"")
    async with running(place) as worker:
        for values in (FIRST, SECOND, deleted):
            await worker.send(values)
        await worker.has_seen(220)
    await place.compact(place.changelog("rows"))
    shutil.rmtree(place.path / "data")
    async with running(place) as again:
        assert again.rows() == {key: value for key, value in (FIRST | SECOND).items() if key not in deleted}
        assert again.seen == []


@kafka_only
async def test_what_a_fetch_brings_that_began_before_a_rebalance_is_fetched_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(place) as worker:
        await worker.send(FIRST)
        await worker.has_seen(100)
    shutil.rmtree(place.path / "data")
    fetch = aiokafka.Consumer._getmany
    overtaken: list[int] = []

    async def overtaken_fetch(consumer: Any, *args: Any) -> Any:
        """Have the first fetch that brings changelog records end behind the rebalance that followed it."""
        fetched = await fetch(consumer, *args)
        if not overtaken and any(tp.topic == place.changelog("rows") for tp in fetched):
            overtaken.append(sum(map(len, fetched.values())))
            generation = consumer.app.consumer_generation_id
            consumer.app.consumer_generation_id += 1
            asyncio.get_running_loop().call_soon(setattr, consumer.app, "consumer_generation_id", generation)
        return fetched

    monkeypatch.setattr(aiokafka.Consumer, "_getmany", overtaken_fetch)
    async with running(place) as again:
        assert overtaken, "no fetch was overtaken"
        assert again.rows() == FIRST


@pytest.mark.parametrize("pause", [0, 1.5], ids=["at once", "slowly"])
async def test_no_event_is_lost_between_recovery_and_the_start_of_the_streams(place: Place, pause: float) -> None:
    async with running(place) as worker:
        await worker.send(FIRST)
        await worker.has_seen(100)
    shutil.rmtree(place.path / "data")
    places = await place.append("calls", [(n % PARTITIONS, b"late-%d" % n, b"late") for n in range(400)])
    again = Worker(place)
    consumer = again.app.consumer
    seek = consumer.perform_seek

    async def seek_and_dawdle() -> None:
        await seek()
        await asyncio.sleep(pause)  # recovery clears the streams' queues only after this

    consumer.perform_seek = seek_and_dawdle
    async with started(again.app):
        # An event in the queues then would be seen by nobody, and be committed past or stop all commits.
        await again.has_seen(400)
        assert sorted(again.seen) == sorted(places)
        tps = [TP(again.topic, partition) for partition in range(PARTITIONS)]
        ends = await consumer.highwaters(*tps)
        # What was seen last is acked a moment later, and a commit that finds another under way leaves it at that one.
        async with asyncio.timeout(READY_SECONDS):
            while again.committed() != {tp.partition: ends[tp] for tp in tps}:
                await consumer.commit()
                await asyncio.sleep(0)


async def test_a_commit_never_passes_a_record_that_is_not_acknowledged(place: Place) -> None:
    app = build(place, topic_partitions=1, broker_commit_interval=3600)
    topic = app.topic(place.topic("calls"), key_type=bytes, value_type=bytes)
    events: asyncio.Queue[Any] = asyncio.Queue()

    @app.agent(topic)
    async def take(stream: Any) -> None:
        async for event in stream.noack().events():
            await events.put(event)

    async with started(app):
        for _ in range(6):
            await app.producer.append(place.topic("calls"), 0, b"", b"")
        taken = [await events.get() for _ in range(6)]
        committed = []
        for acked in (1, 2, 0, 4, 5, 3):
            taken[acked].ack()
            await app.consumer.commit()
            committed.append(place.committed(app).get(0))
    assert committed == [None, None, 3, 3, 3, 6]


async def test_an_event_that_an_agent_was_stopped_in_comes_again_after_a_restart(place: Place) -> None:
    async with running(place) as worker:
        worker.gate.clear()
        await worker.send(FIRST)
        async with asyncio.timeout(READY_SECONDS):
            await worker.at_work.wait()
        await worker.app.consumer.commit()
        assert not any(worker.committed().values())
    async with running(place) as again:
        await again.has_seen(100)
        assert again.rows() == FIRST


async def test_a_paused_partition_holds_up_no_other_and_is_delivered_when_it_is_resumed(place: Place) -> None:
    async with running(place) as worker:
        consumer, producer = worker.app.consumer, worker.app.producer
        consumer.pause_partitions({TP(worker.topic, 0)})
        await producer.append(worker.topic, 0, b"paused", b"x")
        await producer.append(worker.topic, 1, b"other", b"x")
        await worker.has_seen(1)
        assert worker.seen == [(1, 0)]
        consumer.resume_partitions({TP(worker.topic, 0)})
        await worker.has_seen(2)


async def test_a_sought_partition_is_delivered_again_from_there(place: Place) -> None:
    async with running(place) as worker:
        await worker.send(FIRST)
        await worker.has_seen(100)
        tp = TP(worker.topic, 0)
        end = (await worker.app.consumer.highwaters(tp))[tp]
        assert await worker.app.consumer.position(tp) == end
        await worker.app.consumer.seek(tp, end - 2)
        await worker.has_seen(102)
        assert worker.seen[100:] == [(0, end - 2), (0, end - 1)]


async def test_headers_and_timestamp_reach_the_agent(place: Place) -> None:
    app = build(place)
    topic = app.topic(place.topic("calls"), key_type=bytes, value_type=bytes)
    events: asyncio.Queue[Any] = asyncio.Queue()

    @app.agent(topic)
    async def take(stream: Any) -> None:
        async for event in stream.events():
            await events.put(event)

    async with started(app):
        await app.producer.append(place.topic("calls"), 0, b"key", b"value", [("name", b"content")])
        event = await events.get()
        assert event.message.timestamp == pytest.approx(time.time(), abs=60)
        assert dict(event.headers) == {"name": b"content"}
