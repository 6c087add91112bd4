"""Carrying out what is asked of a request keeps nobody waiting, and holds no table that goes to another worker."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from agents import recorder, steering
from agents.chunk import Chunk
from agents.scoring import scoring
from app import (
    ids,
    slices,
    topics,
    worker,  # noqa: F401 - it says what happens when partitions move
)
from app.events import (
    Error,
    RequestCancelled,
    RequestRetried,
    ScoreEvents,
    ScoreFailed,
    Target,
    TaskParked,
    TasksReopened,
    decode_score_events,
)
from app.faust_app import app
from app.positions import positions
from app.slices import TURN_SECONDS, Turns
from tables import chunks, controls, controls_in_progress, folds, in_flight, progress, tasks
from tables.at import At
from tables.progress import State
from tables.tasks import Task

FAILED = 100
CHUNK = chunks.Row(
    offset=0,
    request_id="r",
    chunk=0,
    project_id="p",
    call_ids=[str(n) for n in range(FAILED)],
    scorer_refs=["s"],
    requested_at=1.0,
)


async def test_a_retry_by_type_of_error_lets_others_run_while_it_reads_why_tasks_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    types = ["rate_limited", "refused"]

    def read(_partition: int, _chunk: chunks.Row, _scorer: int, call: int) -> str:
        until = time.perf_counter() + TURN_SECONDS / 4
        while time.perf_counter() < until:
            pass
        return types[call % 2]

    monkeypatch.setattr(steering, "_error_type", read)
    rounds = 0

    async def others() -> None:
        nonlocal rounds
        while True:
            rounds += 1
            await asyncio.sleep(0)

    meanwhile = asyncio.create_task(others())
    await asyncio.sleep(0)
    known = progress.Row(states=bytearray([State.FAILED] * FAILED))
    asked = RequestRetried(
        control_id="c", request_id="r", statuses=["failed"], error_types=["refused"], asked_by=None, asked_at=1.0
    )
    event = await steering._applied_to(0, CHUNK, 0, known, 1, asked, Turns())
    meanwhile.cancel()
    assert isinstance(event, TasksReopened)
    assert event.calls == list(range(1, FAILED, 2))
    assert rounds >= FAILED / 8


@pytest.mark.usefixtures("bare_tables")
async def test_a_partition_that_opens_takes_up_what_came_early_for_it_and_for_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scheduler, steers = scoring.scheduler, scoring.steering
    for partition in range(3):
        controls.save(partition, RequestCancelled(control_id="c", request_id="r", asked_by=None, asked_at=1.0), 0)
        scheduler.add(Chunk(partition, CHUNK))
        steers.obey(partition, "r", 1, lambda: None)
    taken: list[int] = []
    monkeypatch.setattr(scheduler, "add", lambda chunk: taken.append(chunk.partition))
    monkeypatch.setattr(steers, "obey", lambda partition, *_: taken.append(partition))
    for _ in range(2):
        steers.open(1)
        scheduler.add_early(1)
    assert taken == [1, 1]
    scoring._forget_all()


@pytest.mark.usefixtures("bare_tables")
async def test_when_partitions_move_nothing_of_them_is_started_or_said_and_no_table_is_held_any_more() -> None:
    for number in range(3):
        chunks.save(0, CHUNK.replace(chunk=number))
    scoring.scheduler.open(0)
    scoring.scheduler._lanes.add_parked(0, b"p\0c\0s\0", [])
    scoring.steering._stop_request(0, "r")

    async def read() -> None:
        for _ in chunks.of_request(0, "r"):
            await asyncio.sleep(60)

    at_work = scoring.steering._background.spawn(read())
    await asyncio.sleep(0)
    await app.on_partitions_revoked.send(set())
    await asyncio.wait([at_work], timeout=5)
    assert at_work.cancelled()
    assert not list(scoring.scheduler._lanes.scorers())
    assert not scoring.scheduler.is_open(0)
    assert scoring.steering.not_stopped(0, [Target("r", 0, 0, 0)])  # it may be retried elsewhere
    assert not scoring.attempts.writable.is_set()
    gone = TP(chunks.table.changelog_topic.get_topic_name(), 0)
    chunks.table.data.revoke_partitions(chunks.table, {gone})
    assert chunks.load(0, "r", 2) is not None  # as it is again when the partition comes back
    scoring.recovered({0})
    assert scoring.attempts.writable.is_set()


class Log:
    """`score-events`: what steering sends is applied a little later, and what the outbox sends `waits`."""

    def __init__(self) -> None:
        self.waits: list[bytes] = []
        self._offset = 0

    def append(self, *encoded: bytes) -> None:
        self._offset += 1
        self._apply(self._offset, ScoreEvents.join(list(encoded)))

    def send(self, _topic: object, _key: None, value: bytes, _partition: int) -> Any:
        self._offset += 1
        loop = asyncio.get_running_loop()
        loop.call_later(0.01, self._apply, self._offset, value)
        sent = loop.create_future()
        sent.set_result(SimpleNamespace(offset=self._offset))
        return sent

    def _apply(self, offset: int, value: bytes) -> None:
        recorder.notify(0, folds.SCORE_EVENTS.apply(At(0, offset, 1.0), decode_score_events(value)))
        positions.applied(topics.score_events.name, 0, offset)


@pytest.fixture
async def log(bare_tables: None, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Log]:
    made = Log()
    monkeypatch.setattr(topics.Topic, "send", lambda *args: made.send(*args))
    monkeypatch.setattr(scoring.outbox, "put", lambda _, event: made.waits.append(event))
    monkeypatch.setattr(scoring.outbox, "flush", lambda: None)
    yield made
    for entry in list(in_flight.entries()):
        in_flight.pop(entry.task.key)
    scoring._forget_all()
    positions.recovered(())


REF = "callscore:///scorer/judge:1"
CANCEL = RequestCancelled(control_id="c", request_id="r", asked_by=None, asked_at=1.0)
RETRY = RequestRetried(control_id="d", request_id="r", statuses=["failed"], asked_by=None, asked_at=2.0)


def start(call_id: str, *targets: Target) -> in_flight.Entry:
    """A task that runs."""
    key = ids.task_key("p", call_id, REF)
    return in_flight.enter(Task(0, key, "p", call_id, REF, "", list(targets), attempts=1))


def state(chunk: int, call: int = 0) -> State:
    return progress.load(0, "r", chunk, 0).get(call)


@pytest.mark.parametrize("asked", [CANCEL, RETRY])
async def test_steering_a_large_request_leaves_others_a_turn_between_any_two_chunks_and_any_two_tasks(
    log: Log, monkeypatch: pytest.MonkeyPatch, asked: RequestCancelled | RequestRetried
) -> None:
    monkeypatch.setattr(slices, "TURN_SECONDS", 0.0)
    scoring.scheduler.open(0)
    await scoring.parking.load(0)
    for number in range(20):
        chunks.save(0, CHUNK.replace(chunk=number, scorer_refs=[REF], call_ids=[f"{number}-{n}" for n in range(10)]))
    parked = TaskParked(
        project_id="p",
        call_id="elsewhere",
        scorer_ref=REF,
        targets=[Target("another", 0, 0, 0)],
        at=1.0,
        reason="waiting_for_call",
        until=9e9,
    )
    log.append(parked.encode())  # so that each task is looked at
    in_a_row: Counter[str] = Counter()
    most: Counter[str] = Counter()

    async def others() -> None:
        while True:
            in_a_row.clear()
            await asyncio.sleep(0)

    def noted(name: str, read: Callable[..., Any]) -> Callable[..., Any]:
        def noting(*args: Any) -> Any:
            in_a_row[name] += 1
            most[name] = max(most[name], in_a_row[name])
            return read(*args)

        return noting

    monkeypatch.setattr(
        steering, "progress", SimpleNamespace(**vars(progress) | {"load": noted("chunk", progress.load)})
    )
    monkeypatch.setattr(in_flight, "get", noted("task", in_flight.get))
    monkeypatch.setattr(scoring.scheduler, "work_on", noted("work", scoring.scheduler.work_on))
    meanwhile = asyncio.create_task(others())
    controls.save(0, asked, 0)
    for _ in range(2):  # delivered again, it finds all up to date
        scoring.steering.obey(0, "r", 1, lambda: None)
        async with asyncio.timeout(10):
            while scoring.steering._background._tasks:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
    meanwhile.cancel()
    assert most["chunk"] == most["work"] == 1
    assert most["task"] == (1 if asked is CANCEL else 0)  # no task of those that the retry means was taken up


async def test_a_cancel_is_owed_until_the_request_is_withdrawn_from_its_parked_tasks(log: Log) -> None:
    scoring.scheduler.open(0)
    await scoring.parking.load(0)
    chunks.save(0, CHUNK.replace(scorer_refs=[REF], call_ids=["a", "b"]))
    for number, call_id in enumerate(["a", "b"]):
        parked = TaskParked(
            project_id="p",
            call_id=call_id,
            scorer_ref=REF,
            targets=[Target("r", 0, 0, number)],
            at=1.0,
            reason="waiting_for_call",
            until=9e9,
        )
        log.append(parked.encode())
    controls.save(0, CANCEL, 0)
    done = asyncio.Event()
    scoring.steering.obey(0, "r", 1, done.set)
    async with asyncio.timeout(10):
        while len(log.waits) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0)
        for _ in range(20):
            await asyncio.sleep(0)
        assert not done.is_set()
        assert not controls_in_progress._in_progress  # so it shows by now
        assert len(list(tasks.parked(0))) == 2  # which a kill would leave so
        log.append(*log.waits)
        await done.wait()
    assert list(tasks.parked(0)) == []


async def test_a_cancel_that_came_before_its_partition_was_scored_is_carried_out_also_on_chunks_that_come_later(
    log: Log,
) -> None:
    chunks.save(0, CHUNK)
    controls.save(0, CANCEL, 0)
    done, acknowledged = asyncio.Event(), asyncio.Event()
    scoring.steering.obey(0, "r", 1, done.set)
    scoring.scheduler.open(0)
    await scoring.parking.load(0)
    scoring.steering.open(0)
    await asyncio.wait_for(done.wait(), 10)
    assert (state(0), state(0, FAILED - 1)) == (State.CANCELLED, State.CANCELLED)
    later = CHUNK.replace(chunk=1)
    chunks.save(0, later)
    chunk = Chunk(0, later)
    chunk.when_settled.append(acknowledged.set)
    scoring.scheduler.add(chunk)
    await asyncio.wait_for(acknowledged.wait(), 10)
    assert state(1) is State.CANCELLED
    assert not list(scoring.scheduler._lanes.scorers())


async def test_a_retry_runs_again_what_failed_and_leaves_alone_what_runs(log: Log) -> None:
    scoring.scheduler.open(0)
    await scoring.parking.load(0)
    chunks.save(0, CHUNK.replace(scorer_refs=[REF], call_ids=["runs", "failed"]))
    error = Error(type="refused", message="no")
    where: dict[str, Any] = {"project_id": "p", "call_id": "failed", "scorer_ref": REF}
    log.append(ScoreFailed(**where, targets=[Target("r", 0, 0, 1)], at=1.0, error=error).encode())
    waited: dict[str, Any] = where | {"call_id": "runs", "targets": [Target("r", 0, 0, 0)]}
    log.append(TaskParked(**waited, at=1.0, reason="waiting_for_call", until=9e9).encode())
    entry = start("runs", Target("r", 0, 0, 0))
    controls.save(0, RETRY, 0)
    done = asyncio.Event()
    scoring.steering.obey(0, "r", 1, done.set)
    async with asyncio.timeout(10):
        while not list(scoring.scheduler._lanes.scorers()):  # noqa: ASYNC110
            await asyncio.sleep(0)
    assert (entry.running, entry.task.targets, log.waits) == (True, [Target("r", 0, 0, 0)], [])
    again = scoring.scheduler._lanes.take(lambda *_: 2)
    assert again is not None
    assert [task.targets for task in again] == [[Target("r", 0, 0, 1, 1)]]
    for _ in range(20):
        await asyncio.sleep(0)
    assert not done.is_set()
    for call, task in (("runs", entry.task), ("failed", again[0])):
        where |= {"call_id": call, "targets": task.targets}
        log.append(ScoreFailed(**where, at=2.0, error=error).encode())
    await asyncio.wait_for(done.wait(), 10)


async def test_a_cancel_ends_what_runs_for_nobody_else_and_leaves_the_rest_to_those_who_wait_for_it(log: Log) -> None:
    scoring.scheduler.open(0)
    mine, shared = start("mine", Target("r", 0, 0, 0)), start("shared", Target("r", 0, 0, 1))
    behind = Task(0, shared.task.key, "p", "shared", REF, "", [Target("behind", 0, 0, 0)])
    shared.later = [behind, Task(0, shared.task.key, "p", "shared", REF, "", [Target("r", 1, 0, 0)])]
    sent = start("sent", Target("r", 0, 0, 2))  # its outcome, which counts
    in_flight.mark_sent(sent, 1.0)
    waiting = CHUNK.replace(request_id="waits", scorer_refs=["other", REF], call_ids=["x", "shared"])
    elsewhere = waiting.replace(request_id="elsewhere", project_id="q")
    queued = CHUNK.replace(chunk=1, scorer_refs=["queued"])
    for row in (elsewhere, waiting, queued):
        chunks.save(0, row)
        scoring.scheduler.add(Chunk(0, row))
    controls.save(0, CANCEL, 0)
    scoring.steering.obey(0, "r", 1, lambda: None)
    assert (mine.running, shared.running, len(log.waits)) == (False, True, 1)
    assert (shared.task.targets, shared.later) == ([Target("waits", 0, 1, 1)], [behind])
    assert ("p", "queued") not in scoring.scheduler._lanes.scorers()
    assert sent.task.targets == [Target("r", 0, 0, 2)]


async def test_no_task_that_is_parked_starts_for_a_request_from_its_cancel_until_it_is_withdrawn(log: Log) -> None:
    scoring.scheduler.open(0)
    await scoring.parking.load(0)
    chunks.save(0, CHUNK)
    mine, others = Target("r", 0, 0, 0), Target("other", 0, 0, 0)

    controls.save(0, RETRY, 0)
    controls.save(0, CANCEL, 1)
    carried_out = asyncio.Event()
    scoring.steering.obey(0, "r", 1, lambda: None)
    scoring.steering.obey(0, "r", 2, carried_out.set)
    in_between: list[list[Target]] = []
    withdraw = scoring.steering._withdraw_request

    async def withdrawn(partition: int, request_id: str) -> None:
        in_between.append(scoring.steering.not_stopped(partition, [mine, others]))
        await withdraw(partition, request_id)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring.steering, "_withdraw_request", withdrawn)
        await asyncio.wait_for(carried_out.wait(), 10)
    assert in_between == [[others], [others]]  # also while the cancel waits for the retry before it
    assert scoring.steering.not_stopped(1, [mine]) == [mine]
    assert scoring.steering.not_stopped(0, [mine]) == [mine]  # by now it is withdrawn from what was parked


async def test_a_view_that_waits_for_a_control_goes_on_when_partitions_move(log: Log) -> None:
    scoring.scheduler.open(0)
    chunks.save(0, CHUNK)
    controls.save(0, CANCEL, 0)
    positions.applied(topics.controls.name, 0, 0)
    scoring.steering.obey(0, "r", 1, lambda: None)
    shows = asyncio.create_task(controls_in_progress.in_effect(0, "r", [0]))
    await asyncio.sleep(0)
    scoring._forget_all()
    await asyncio.wait_for(shows, 10)


async def test_a_retry_ends_an_attempt_that_the_cancel_before_it_has_not_reached(log: Log) -> None:
    scoring.scheduler.open(0)
    chunks.save(0, CHUNK.replace(scorer_refs=[REF], call_ids=["c"]))
    controls.save(0, CANCEL, 0)
    controls.save(0, RETRY.replace(statuses=["cancelled"]), 1)
    entry = start("c", Target("r", 0, 0, 0))
    scoring.steering.obey(0, "r", 2, lambda: None)
    async with asyncio.timeout(10):
        while not log.waits:  # noqa: ASYNC110
            await asyncio.sleep(0)
    assert not entry.running
    assert progress.load(0, "r", 0, 0).opened(0) == 1


async def test_a_cancel_reaches_a_task_that_is_just_being_parked(log: Log) -> None:
    scoring.scheduler.open(0)
    await scoring.parking.load(0)
    chunks.save(0, CHUNK.replace(scorer_refs=[REF], call_ids=["c"]))
    start("other", Target("other", 0, 0, 0))
    entry = start("c", Target("r", 0, 0, 0), Target("another", 0, 0, 0))
    parked = TaskParked(**entry.task.facts(), reason="waiting_for_call", until=9e9)
    in_flight.mark_sent(entry, parked.at)
    controls.save(0, CANCEL, 0)
    done = asyncio.Event()
    scoring.steering.obey(0, "r", 1, done.set)
    asyncio.get_running_loop().call_later(0.1, log.append, parked.encode())
    async with asyncio.timeout(10):
        while not log.waits:  # noqa: ASYNC110
            await asyncio.sleep(0)
        log.append(*log.waits)
        await done.wait()
    assert [row.targets for _, row in tasks.parked(0)] == [[Target("another", 0, 0, 0)]]
    assert state(0) is State.CANCELLED
