import asyncio
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import uvloop
from faust.types import TP

from app.embedded.errors import LogClosed
from app.embedded.transport import Transport
from tests.integration.small_app import PARTITIONS, Place, Worker, build, running, started

FIRST = {b"key-%d" % n: b"first" for n in range(100)}
SECOND = {b"key-%d" % n: b"second" for n in range(50, 150)}


def test_faust_finds_the_transport_by_its_scheme(tmp_path: Path) -> None:
    (found,) = entry_points(group="faust.transports", name="embedded")
    assert found.load() is Transport
    assert isinstance(build(Place(tmp_path)).transport, Transport)


def test_worker_runs_on_uvloop(tmp_path: Path) -> None:
    async def main() -> dict[bytes, bytes]:
        async with running(Place(tmp_path)) as worker:
            await worker.send(FIRST)
            await worker.has_seen(100)
            return worker.rows()

    assert uvloop.run(main()) == FIRST


async def test_agent_that_hangs_bounds_what_is_fetched_and_holds_up_no_other_topic(tmp_path: Path) -> None:
    worker = Worker(Place(tmp_path), stream_buffer_maxsize=32)
    other = worker.app.topic("other", key_type=bytes, value_type=bytes)
    arrived: asyncio.Queue[bytes] = asyncio.Queue()

    @worker.app.agent(other)
    async def take(stream: Any) -> None:
        async for value in stream:
            await arrived.put(value)

    async with started(worker.app):
        worker.gate.clear()
        await worker.send({b"key-%d" % n: b"x" for n in range(1000)})
        await worker.app.producer.flush()
        for _ in range(20):
            await worker.app.producer.append("other", 0, b"", b"not held up")
            async with asyncio.timeout(60):
                assert await arrived.get() == b"not held up"
        positions = [await worker.app.consumer.position(TP("calls", partition)) for partition in range(PARTITIONS)]
        assert sum(positions) <= 32
        worker.gate.set()
        await worker.has_seen(1000)
        assert len(set(worker.seen)) == 1000


async def test_assignor_knows_this_worker_as_the_owner_of_every_partition(tmp_path: Path) -> None:
    async with running(Place(tmp_path)) as worker:
        app = worker.app
        assert app.assignor.assigned_actives() == app.consumer.assignment()
        changelog = worker.place.changelog("rows")
        assert app.assignor.changelog_distribution == {str(app.conf.canonical_url): {changelog: [*range(PARTITIONS)]}}


async def test_what_faust_would_send_to_a_partition_of_its_own_choice_is_refused(tmp_path: Path) -> None:
    async with running(Place(tmp_path)) as worker:
        for send in (worker.calls.send, worker.calls.send_soon):
            with pytest.raises(NotImplementedError, match="use append"):
                await send(key=b"key", value=b"value")


async def test_streams_wait_while_too_many_records_wait_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.embedded.producer.BACKLOG_MAX", 2)
    async with running(Place(tmp_path)) as worker:
        producer = worker.app.producer
        await producer.flush()
        for count in (1, 2, 0):
            producer.append(worker.topic, 0, b"", b"")
            await producer.buffer.wait_until_ebb()
            assert producer.backlog == count
    assert producer.failed is None
    with pytest.raises(LogClosed):
        producer.append(worker.topic, 0, b"", b"")
