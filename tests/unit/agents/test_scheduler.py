"""Tasks start as soon as there is room, and none of a partition before its tables have caught up."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest

from agents import scheduler as module
from agents.chunk import Chunk
from agents.scheduler import Scheduler
from app import ids
from app.events import RequestCancelled, RequestRetried, Target
from tables import chunks, controls, tasks
from tables.tasks import Task

pytestmark = pytest.mark.usefixtures("bare_tables")

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
RETRY = RequestRetried(control_id="d", request_id="r", statuses=["failed"], asked_by=None, asked_at=2.0)
CANCEL = RequestCancelled(control_id="c", request_id="r", asked_by=None, asked_at=3.0)


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


class Clock:
    """Its time goes by as tests spend it, and a little with each look at it."""

    now = 0.0

    def perf_counter(self) -> float:
        self.now += 1e-6
        return self.now


class Worker:
    """A scheduler in partitions 0 and 1, and the turns in which it has started tasks; each takes a millisecond."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = Clock()
        monkeypatch.setattr(module, "time", self.clock)
        monkeypatch.setattr(module, "pace", lambda: SimpleNamespace(start=0.0045))
        self.turns: list[list[str]] = [[]]
        self.steered: list[Chunk] = []
        self.room = 100
        self.wake = asyncio.Event()
        self.scheduler = Scheduler(
            self.wake, lambda *_: self.room, self._start, self.steered.append, lambda: self.turns.append([])
        )
        self.scheduler.open(0)
        self.scheduler.open(1)

    def _start(self, task: Task) -> None:
        self.turns[-1].append(task.call_id)
        self.clock.now += 0.001

    @property
    def started(self) -> list[str]:
        return [call_id for turn in self.turns for call_id in turn]

    def add(self, *call_ids: str, request: str = "r", number: int = 0, partition: int = 0) -> Chunk:
        """A chunk with these calls, after it was added."""
        row = CHUNK.replace(request_id=request, chunk=number, call_ids=list(call_ids))
        chunks.save(partition, row)
        chunk = Chunk(partition, row)
        self.scheduler.add(chunk)
        return chunk

    async def run(self) -> None:
        """Let it start what it can, while others have their turns too."""
        for _ in range(100):
            await asyncio.sleep(0)


@pytest.fixture
async def worker(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Worker]:
    made = Worker(monkeypatch)
    running = asyncio.create_task(made.scheduler.run())
    yield made
    assert not running.done()
    running.cancel()


async def test_starting_many_tasks_leaves_others_their_turns_in_between(worker: Worker) -> None:
    worker.add(*map(str, range(22)))
    seen = []
    for _ in range(20):
        await asyncio.sleep(0)
        seen.append(len(worker.started))
    assert list(dict.fromkeys(seen)) == [5, 10, 15, 20, 22]
    assert worker.scheduler.started == 22


async def test_a_scheduler_that_cannot_start_anything_waits_until_it_can(worker: Worker) -> None:
    worker.room = 0
    worker.add("a")
    await worker.run()
    assert worker.started == []
    assert len(worker.turns) <= 3  # it has looked at first, and when there was something
    assert worker.clock.now < 0.001  # and not for whole turns
    worker.room = 1
    worker.wake.set()
    await worker.run()
    assert worker.started == ["a"]


@pytest.mark.parametrize("during", ["cancelled-0", "another-0", "parked-0"])
async def test_of_a_request_that_is_cancelled_nothing_more_starts_in_that_partition_but_what_is_parked(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, during: str
) -> None:
    parked = [f"parked-{n}" for n in range(3)]  # which are withdrawn from one by one, since others may want them too
    for call_id in parked:
        tasks.table.put_row(0, ids.task_key("p", call_id, "s"), PARKED.replace(call_id=call_id).encode())
        worker.scheduler.resume(0, ids.task_key("p", call_id, "s"), None)
    worker.add(*(f"cancelled-{n}" for n in range(3)))
    worker.add("cancelled-in-lane", number=1)
    worker.add("elsewhere-0", "elsewhere-1", number=2, partition=1)
    worker.add("another-0", "another-1", "another-2", request="another")
    start = worker._start
    before: list[str] = []

    def cancel(task: Task) -> None:
        start(task)
        if task.call_id == during:
            before.extend(worker.started)
            worker.scheduler.drop(0, "r")

    monkeypatch.setattr(worker.scheduler, "_start", cancel)
    await worker.run()
    others = [f"another-{n}" for n in range(3)] + [f"elsewhere-{n}" for n in range(2)] + parked
    assert sorted(worker.started) == sorted({*others, *before})
    assert before[-1] == during


async def test_when_partitions_move_nothing_of_what_came_before_starts(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker.add("a", "b", "c")
    worker.add("early", number=1, partition=2)
    start = worker._start

    def move(task: Task) -> None:
        start(task)
        worker.scheduler.clear()

    monkeypatch.setattr(worker.scheduler, "_start", move)
    await worker.run()
    for partition in range(3):
        worker.scheduler.open(partition)
        worker.scheduler.add_early(partition)
    await worker.run()
    assert worker.started == ["a"]  # until the log delivers what is owed


async def test_a_chunk_is_worked_on_once_whoever_asks_and_all_of_them_learn_when_it_is_settled(worker: Worker) -> None:
    settled: list[str] = []
    first = worker.add("a", "b")
    first.when_settled.append(lambda: settled.append("request"))
    await worker.run()
    again = Chunk(0, CHUNK)
    again.when_settled.append(lambda: settled.append("control"))
    controls.save(0, RETRY, 0)
    worker.scheduler.work_on(again)
    worker.scheduler.settled("r", 0, 0, 1)
    worker.scheduler.settled("r", 7, 0, 1)  # which is not here
    assert settled == []
    worker.scheduler.settled("r", 0, 0, 1)
    assert settled == ["request", "control"]
    assert not worker.scheduler._chunks  # else they would pile up


async def test_a_chunk_of_a_request_that_was_steered_is_scored_when_its_progress_is_known_unless_it_is_cancelled(
    worker: Worker,
) -> None:
    controls.save(0, RETRY, 0)
    chunk = worker.add("a", "b")
    await worker.run()
    assert (worker.started, worker.steered) == ([], [chunk])
    worker.scheduler.work_on(chunk)
    await worker.run()
    assert worker.started == ["a", "b"]
    controls.save(0, CANCEL, 1)  # before it could be carried out
    worker.scheduler.work_on(chunk)
    await worker.run()
    assert worker.started == ["a", "b"]
