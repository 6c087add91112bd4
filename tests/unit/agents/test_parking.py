"""No parked task is forgotten, though only those that are due first are in memory."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace

import pytest

from agents import parking
from agents.parking import Parking
from app import ids
from tables import tasks

REF = "callscore:///scorer/length:1"
MOST = 40
_Task = tuple[int, bytes]


class Parked:
    """Parked tasks in their table, a clock that is set by hand, and what was resumed since its row was put last."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.due: dict[_Task, float] = {}
        self.resumed: set[_Task] = set()
        self.log: list[_Task] = []  # whatever was resumed, in order
        self.parking = Parking(self.resume)

    def resume(self, partition: int, key: bytes, _: tasks.Row | None) -> None:
        due = self.due.get((partition, key), 0)
        if due > self.now:  # its row has been put anew meanwhile: as scoring does
            self.parking.resume_at(due, partition, key)
        else:
            self.resumed.add((partition, key))
            self.log.append((partition, key))

    def write(self, task: _Task, due: float, **fields: str) -> tasks.Row:
        row = tasks.Row(
            offset=1,
            project_id="p",
            call_id=ids.split_key(task[1])[1],
            scorer_ref=REF,
            occasion="",
            round=1,
            attempts=1,
            targets=[],
            status="retrying",
            reason="overloaded",
            since=self.now,
            due=due,
        ).replace(**fields)
        tasks.table.put_row(*task, row.encode())
        self.due[task] = due
        self.resumed.discard(task)
        return row

    def put(self, task: _Task, due: float) -> None:
        new = task not in self.due
        self.parking.parked(*task, self.write(task, due), new)

    def end(self, task: _Task) -> None:
        tasks.table.write(task[0], [(task[1], None)])
        self.parking.removed(*task, self.due.pop(task, None) is not None)

    async def all_resumed(self) -> None:
        """Wait until all that is due now is resumed."""
        due = {task for task, at in self.due.items() if at <= self.now}
        deadline = time.monotonic() + 30
        while not due <= self.resumed:
            assert time.monotonic() < deadline, f"{len(due - self.resumed)} tasks are forgotten"
            await asyncio.sleep(0.001)


@pytest.fixture
async def parked(bare_tables: None, monkeypatch: pytest.MonkeyPatch) -> Parked:
    made = Parked()
    for name, value in {"_MOST": MOST, "_FEW": MOST // 4, "_PAUSE": 0.001, "BREATH": 16}.items():
        monkeypatch.setattr(parking, name, value)
    monkeypatch.setattr(parking, "time", SimpleNamespace(time=lambda: made.now))
    monkeypatch.setattr("app.slices.TURN_SECONDS", 0.0)  # others have a turn after each page
    return made


@pytest.fixture
async def running(parked: Parked) -> AsyncIterator[None]:
    running = asyncio.create_task(parked.parking.run())
    yield
    assert not running.done(), running
    running.cancel()


def task(number: int) -> _Task:
    return number % 3, ids.task_key("p", f"c{number:06d}", REF)


def ascending(number: int) -> float:
    return 1_000.0 + number / 2


def at_random(_: int) -> float:
    return random.uniform(1_000, 1_600)


def at_once(_: int) -> float:
    return 1_300.0


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("dues", [ascending, at_random, at_once])
async def test_of_many_parked_tasks_few_are_in_memory_and_each_is_resumed_when_it_is_due(
    parked: Parked, dues: Callable[[int], float]
) -> None:
    for number in range(600):
        parked.write(task(number), dues(number))
    for partition in range(3):
        await parked.parking.load(partition)
    for number in range(600, 1_200):
        parked.put(task(number), dues(number))
        assert len(parked.parking._due) <= MOST
    while parked.now < 1_620:
        parked.now += 20
        await parked.all_resumed()
        assert len(parked.parking._due) <= MOST


@pytest.mark.usefixtures("running")
async def test_no_task_is_forgotten_whatever_comes_ends_and_moves_while_rows_are_read(parked: Parked) -> None:
    for partition in range(3):
        await parked.parking.load(partition)
    for _ in range(150):
        for _ in range(random.randrange(40)):
            one = task(random.randrange(400))
            if random.random() < 0.3:
                parked.end(one)
            else:
                parked.put(one, parked.now + random.choice([1, 10, 100, 300]) * random.random())
        parked.now += random.random() * 10
        if random.random() < 0.1:
            parked.parking.clear()
            parked.resumed.clear()
            loads = [asyncio.create_task(parked.parking.load(partition)) for partition in range(3)]
            for _ in range(random.randrange(1, 4)):
                await asyncio.sleep(0)
            if random.random() < 0.5:  # before they are through
                parked.parking.clear()
                loads = [asyncio.create_task(parked.parking.load(partition)) for partition in range(3)]
            else:
                parked.put(task(random.randrange(400)), parked.now + 1)
                parked.end(task(random.randrange(400)))
            await asyncio.gather(*loads)
        elif random.random() < 0.5:
            await asyncio.sleep(0.002)
        if random.random() < 0.3:
            await parked.all_resumed()
    parked.now += 301
    await parked.all_resumed()
    for partition in range(3):
        assert parked.parking._rows[partition] == sum(where == partition for where, _ in parked.due)


async def test_a_partition_has_parked_rows_as_long_as_they_are_counted_whatever_ends_meanwhile(parked: Parked) -> None:
    for number in range(0, 900, 3):
        parked.write(task(number), 2_000)
    loading = asyncio.create_task(parked.parking.load(0))
    await asyncio.sleep(0)
    for number in range(0, 600, 3):  # of which some have been counted, and some have not
        parked.end(task(number))
    while not loading.done():
        assert parked.parking.any(0)
        await asyncio.sleep(0)
    for number in range(600, 900, 3):
        assert parked.parking.any(0)
        parked.end(task(number))
    assert not parked.parking.any(0)


@pytest.mark.usefixtures("running")
async def test_what_is_in_memory_twice_is_resumed_once(parked: Parked) -> None:
    await parked.parking.load(0)
    for _ in range(5):  # as when requests join it
        parked.put(task(0), 1_010)
    parked.put(task(3), 1_011)
    parked.now = 1_020
    await parked.all_resumed()
    assert parked.log == [task(0), task(3)]


async def test_what_a_task_waits_for_may_come_while_it_is_being_parked_and_while_no_worker_has_its_partition(
    parked: Parked, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, missing, other_code, retried = task(0), task(3), task(6), task(9)
    rows = [
        parked.write(one, 2_000, status="waiting_for_call", reason=reason)
        for one, reason in ((there, "waiting_for_call"), (missing, "waiting_for_call"))
    ]
    parked.write(other_code, 2_000, status="waiting_for_call", reason="scorer_version_unavailable")
    parked.write(retried, 2_000)
    here = ids.call_key("p", ids.split_key(there[1])[1]), ids.call_key("p", ids.split_key(retried[1])[1])
    monkeypatch.setattr("tables.calls.find", lambda _, key: {} if key in here else None)
    parked.due.clear()
    await parked.parking.load(0)
    assert parked.log == [there, other_code]
    parked.log.clear()
    for row, one in zip(rows, (there, missing), strict=True):
        parked.parking.parked(*one, row, False)
    assert parked.log == [there]
    parked.log.clear()
    for call_id in ("c000003", "c000009"):
        parked.parking.call_arrived(0, ids.call_key("p", call_id))
    assert parked.log == [missing]


async def test_others_have_their_turn_while_many_tasks_are_due_at_once(parked: Parked) -> None:
    turn = 0
    turns: set[int] = set()

    async def others() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    def resume(partition: int, key: bytes, row: tasks.Row | None) -> None:
        turns.add(turn)
        parked.resume(partition, key, row)

    parked.parking = Parking(resume)
    meanwhile = asyncio.create_task(others())
    await parked.parking.load(0)
    for number in range(0, 3 * MOST, 3):
        parked.put(task(number), 999)
    resuming = asyncio.create_task(parked.parking._resume_due())
    await parked.all_resumed()
    for running in (meanwhile, resuming):
        running.cancel()
    assert len(turns) >= MOST // parking.BREATH
