import asyncio
import shutil
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import uvloop
from faust.types import TP

from app.embedded.log import Log
from app.embedded.transport import Transport
from tests.integration.embedded.embedded_app import GROUP, PARTITIONS, Worker, build, running, started

FIRST = {b"key-%d" % n: b"first" for n in range(100)}
SECOND = {b"key-%d" % n: b"second" for n in range(50, 150)}


def test_faust_finds_the_transport_by_its_scheme(tmp_path: Path) -> None:
    (found,) = entry_points(group="faust.transports", name="embedded")
    assert found.load() is Transport
    assert isinstance(build(tmp_path).transport, Transport)


async def test_stopped_worker_goes_on_behind_what_it_committed(tmp_path: Path) -> None:
    async with running(tmp_path) as worker:
        await worker.send(FIRST)
        await worker.has_seen(100)
    async with running(tmp_path) as again:
        assert sum(again.committed(partition) for partition in range(PARTITIONS)) == 100
        await again.send(SECOND)
        await again.has_seen(100)
        assert not set(again.seen) & set(worker.seen)
        assert again.rows() == FIRST | SECOND


async def test_table_whose_files_are_lost_is_recovered_from_its_changelog(tmp_path: Path) -> None:
    async with running(tmp_path) as worker:
        await worker.send(FIRST)
        await worker.send(SECOND)
        await worker.has_seen(200)
    shutil.rmtree(tmp_path / "data")
    async with running(tmp_path) as again:
        assert again.rows() == FIRST | SECOND
        assert again.seen == []


def test_worker_runs_on_uvloop(tmp_path: Path) -> None:
    async def main() -> dict[bytes, bytes]:
        async with running(tmp_path) as worker:
            await worker.send(FIRST)
            await worker.has_seen(100)
            return worker.rows()

    assert uvloop.run(main()) == FIRST


async def test_no_event_is_lost_between_recovery_and_the_start_of_the_streams(tmp_path: Path) -> None:
    async with running(tmp_path) as worker:
        await worker.send(FIRST)
        await worker.has_seen(100)
    shutil.rmtree(tmp_path / "data")
    log = Log(tmp_path / "log")
    places = await asyncio.gather(*[log.append("calls", n % PARTITIONS, b"late-%d" % n, b"") for n in range(400)])
    await log.close()
    async with running(tmp_path) as again:
        # Recovery clears the streams' queues: an event in them then would be seen by nobody, and stop all commits.
        await again.has_seen(400)
        assert set(again.seen) == {(place.partition, place.offset) for place in places}
        await again.app.consumer.commit()
        for partition in range(PARTITIONS):
            assert again.committed(partition) == again.app.consumer.highwater(TP("calls", partition))


async def test_commit_never_passes_an_event_that_is_not_acked(tmp_path: Path) -> None:
    app = build(tmp_path, topic_partitions=1)
    topic = app.topic("calls", key_type=bytes, value_type=bytes)
    events: asyncio.Queue[Any] = asyncio.Queue()

    @app.agent(topic)
    async def take(stream: Any) -> None:
        async for event in stream.noack().events():
            await events.put(event)

    async with started(app):
        log = app.consumer.embedded
        for _ in range(6):
            await topic.send(key=b"", value=b"")
        taken = [await events.get() for _ in range(6)]
        committed = []
        for acked in (1, 2, 0, 4, 5, 3):
            taken[acked].ack()
            await app.consumer.commit()
            committed.append(log.committed(GROUP, "calls", 0))
    assert committed == [None, None, 3, 3, 3, 6]


async def test_event_that_an_agent_was_stopped_in_comes_again_after_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path, stream_wait_empty=False) as worker:
        worker.gate.clear()
        await worker.send(FIRST)
        await worker.app.consumer.commit()
        assert [worker.committed(partition) for partition in range(PARTITIONS)] == [0] * PARTITIONS
    async with running(tmp_path) as again:
        await again.has_seen(100)
        assert again.rows() == FIRST


async def test_paused_partition_is_delivered_as_soon_as_it_is_resumed(tmp_path: Path) -> None:
    async with running(tmp_path) as worker:
        consumer, producer = worker.app.consumer, worker.app.producer
        consumer.pause_partitions({TP("calls", 0)})
        producer.append("calls", 0, b"paused", b"")
        producer.append("calls", 1, b"other", b"")
        await worker.has_seen(1)
        assert worker.seen == [(1, 0)]
        consumer.resume_partitions({TP("calls", 0)})
        await worker.has_seen(2)


async def test_sought_partition_is_delivered_again_from_there(tmp_path: Path) -> None:
    async with running(tmp_path) as worker:
        await worker.send(FIRST)
        await worker.has_seen(100)
        end = worker.app.consumer.highwater(TP("calls", 0))
        assert await worker.app.consumer.position(TP("calls", 0)) == end
        await worker.app.consumer.seek(TP("calls", 0), end - 2)
        await worker.has_seen(102)
        assert worker.seen[100:] == [(0, end - 2), (0, end - 1)]


async def test_agent_that_hangs_bounds_what_is_fetched_and_holds_up_no_other_topic(tmp_path: Path) -> None:
    worker = Worker(tmp_path, stream_buffer_maxsize=32)
    other = worker.app.topic("other", key_type=bytes, value_type=bytes)
    arrived: asyncio.Queue[bytes] = asyncio.Queue()

    @worker.app.agent(other)
    async def take(stream: Any) -> None:
        async for value in stream:
            await arrived.put(value)

    async with started(worker.app):
        worker.gate.clear()
        await worker.send({b"key-%d" % n: b"" for n in range(1000)})
        await worker.app.producer.flush()
        for _ in range(20):
            await other.send(key=b"", value=b"not held up")
            async with asyncio.timeout(5):
                assert await arrived.get() == b"not held up"
        positions = [await worker.app.consumer.position(TP("calls", partition)) for partition in range(PARTITIONS)]
        assert sum(positions) <= 32
        worker.gate.set()
        await worker.has_seen(1000)
        assert len(set(worker.seen)) == 1000


async def test_router_names_this_worker_as_the_owner_of_every_key(tmp_path: Path) -> None:
    async with running(tmp_path) as worker:
        app = worker.app
        assert app.assignor.assigned_actives() == app.consumer.assignment()
        for key in FIRST:
            assert app.router.key_store("rows", key) == app.conf.canonical_url


async def test_key_none_takes_the_partitions_in_turn(tmp_path: Path) -> None:
    async with running(tmp_path) as worker:
        producer = worker.app.producer
        sent = [await producer.send_and_wait("calls", None, b"", None, None, None) for _ in range(2 * PARTITIONS)]
        assert [place.partition for place in sent] == [*range(PARTITIONS)] * 2


async def test_headers_and_timestamp_reach_the_agent(tmp_path: Path) -> None:
    app = build(tmp_path)
    topic = app.topic("calls", key_type=bytes, value_type=bytes)
    events: asyncio.Queue[Any] = asyncio.Queue()

    @app.agent(topic)
    async def take(stream: Any) -> None:
        async for event in stream.events():
            await events.put(event)

    async with started(app):
        await topic.send(key=b"key", value=b"value", timestamp=12.5, headers={"name": b"content"})
        event = await events.get()
        assert event.message.timestamp == pytest.approx(12.5)
        assert dict(event.headers) == {"name": b"content"}


async def test_hot_path_append_reaches_the_agent(tmp_path: Path) -> None:
    async with running(tmp_path) as worker:
        place = await worker.app.producer.append("calls", 2, b"key", b"value")
        await worker.has_seen(1)
        assert worker.seen == [(place.partition, place.offset)] == [(2, 0)]
