"""After a failed write records are delivered again, and acks of earlier deliveries count for nothing."""

import asyncio
from pathlib import Path
from typing import Any

from app.embedded.errors import LogFailed
from tests.integration.small_app import Place, build, started

SECONDS = 30.0


class Desk:
    """An app whose agent reports each record that it begins, and waits for permission to finish it."""

    def __init__(self, place: Place) -> None:
        self.app = build(place, topic_partitions=1)
        self.begun: asyncio.Queue[int] = asyncio.Queue()
        self.may_finish = asyncio.Semaphore(0)
        self.resumed = asyncio.Event()
        self.app.agent(self.app.topic("calls", key_type=bytes, value_type=bytes))(self._work)
        self.app.on_rebalance_complete.connect(self._on_rebalance_complete)

    async def _work(self, stream: Any) -> None:
        async for event in stream.events():
            self.begun.put_nowait(event.message.offset)
            await self.may_finish.acquire()

    async def _on_rebalance_complete(self, sender: Any, **_: Any) -> None:
        self.resumed.set()

    async def next(self) -> int:
        async with asyncio.timeout(SECONDS):
            return await self.begun.get()

    async def fail_and_resume(self) -> None:
        log = self.app.consumer.embedded
        self.resumed.clear()
        log.fail(LogFailed(log.path, OSError("the disk of this test")))
        assert self.app.producer.failed is not None
        async with asyncio.timeout(SECONDS):
            await self.resumed.wait()
        assert self.app.producer.failed is None


async def test_a_record_that_was_at_work_when_a_write_failed_is_delivered_again_and_acknowledged_only_then(
    tmp_path: Path,
) -> None:
    place = Place(tmp_path)
    desk = Desk(place)
    async with started(desk.app):
        for value in (b"first", b"second", b"third"):
            await desk.app.producer.append("calls", 0, b"", value)
        assert await desk.next() == 0
        desk.may_finish.release()
        assert await desk.next() == 1
        await desk.app.consumer.commit()
        assert place.committed(desk.app) == {0: 1}
        await desk.fail_and_resume()
        desk.may_finish.release()  # the one from before
        assert await desk.next() == 1
        await desk.app.consumer.commit()
        assert place.committed(desk.app) == {0: 1}
        desk.may_finish.release()
        assert await desk.next() == 2
        await desk.app.consumer.commit()
        assert place.committed(desk.app) == {0: 2}


async def test_an_append_that_was_not_durable_when_a_write_failed_is_there_whole_or_its_offset_is_given_again(
    tmp_path: Path,
) -> None:
    desk = Desk(Place(tmp_path))
    desk.may_finish = asyncio.Semaphore(1000)
    async with started(desk.app):
        producer, log = desk.app.producer, desk.app.consumer.embedded
        await producer.append("calls", 0, b"", b"before")
        for turn in range(5):
            lost = [producer.append("calls", 0, b"", b"lost") for _ in range(3)]
            for _ in range(turn):
                await asyncio.sleep(0)  # written or not, and perhaps synced
            await desk.fail_and_resume()
            durable = [future.result().offset for future in lost if future.exception() is None]
            place = await producer.append("calls", 0, b"", b"after")
            values = [record.value for record in log.read("calls", 0, 0, max_records=1000)]
            assert values[place.offset :] == [b"after"]
            assert all(values[offset] == b"lost" for offset in durable)
