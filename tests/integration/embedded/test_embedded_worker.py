import asyncio
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import uvloop
from faust.types import TP

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
            await other.send(key=b"", value=b"not held up")
            async with asyncio.timeout(60):
                assert await arrived.get() == b"not held up"
        positions = [await worker.app.consumer.position(TP("calls", partition)) for partition in range(PARTITIONS)]
        assert sum(positions) <= 32
        worker.gate.set()
        await worker.has_seen(1000)
        assert len(set(worker.seen)) == 1000


async def test_router_names_this_worker_as_the_owner_of_every_key(tmp_path: Path) -> None:
    async with running(Place(tmp_path)) as worker:
        app = worker.app
        assert app.assignor.assigned_actives() == app.consumer.assignment()
        for key in FIRST:
            assert app.router.key_store("rows", key) == app.conf.canonical_url


async def test_key_none_takes_the_partitions_in_turn(tmp_path: Path) -> None:
    async with running(Place(tmp_path)) as worker:
        producer = worker.app.producer
        sent = [await producer.send_and_wait("calls", None, b"", None, None, None) for _ in range(2 * PARTITIONS)]
        assert [place.partition for place in sent] == [*range(PARTITIONS)] * 2
