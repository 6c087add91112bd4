"""Tasks start as soon as there is room, and none of a partition before its tables have caught up."""

import asyncio

import pytest

from agents.chunk import Chunk
from agents.scheduler import Scheduler
from app import ids
from app.events import Target
from tables import chunks, tasks
from tables.tasks import Task

CHUNK = chunks.Row(
    offset=0,
    request_id="r",
    chunk=0,
    project_id="p",
    call_ids=["a", "b"],
    scorer_refs=["s"],
    requested_at=1.0,
)
PARKED = tasks.Row(
    offset=0,
    project_id="p",
    call_id="parked",
    scorer_ref="s",
    occasion="",
    round=1,
    attempts=0,
    targets=[Target("r", 1, 0, 0)],
    status="waiting_for_call",
    reason="waiting_for_call",
    since=0.0,
    due=1.0,
)


@pytest.mark.usefixtures("bare_tables")
async def test_whatever_waits_starts_once_its_partition_is_open_and_whatever_comes_later_at_once() -> None:
    started: list[Task] = []
    scheduler = Scheduler(asyncio.Event(), lambda *_: 1, started.append, lambda _: None, lambda: None)
    running = asyncio.create_task(scheduler.run())

    async def starts(*call_ids: str) -> bool:
        async with asyncio.timeout(10):
            while len(started) < len(call_ids):  # noqa: ASYNC110
                await asyncio.sleep(0)
        return [task.call_id for task in started] == list(call_ids)

    key = ids.task_key("p", "parked", "s")
    chunks.save(0, CHUNK)
    tasks.table.put_row(0, key, PARKED.encode())
    scheduler.add(Chunk(0, CHUNK))
    scheduler.resume(0, key, PARKED)
    for _ in range(10):
        await asyncio.sleep(0)
    assert (started, scheduler.could_start()) == ([], False)
    scheduler.open(0)
    scheduler.add_early(0)
    assert scheduler.could_start()
    assert await starts("a", "b")
    scheduler.resume(0, key, None)
    assert await starts("a", "b", "parked")
    later = CHUNK.replace(chunk=1, call_ids=["c"])
    chunks.save(0, later)
    scheduler.add(Chunk(0, later))
    assert await starts("a", "b", "parked", "c")
    assert not running.done()
    running.cancel()
