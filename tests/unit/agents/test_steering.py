"""Carrying out what is asked of a request keeps nobody waiting, and holds no table that goes to another worker."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from agents import recorder, steering
from agents.chunk import Chunk
from agents.scoring import scoring
from app import topics, worker  # noqa: F401 - the latter says what happens when partitions move
from app.events import (
    RequestCancelled,
    RequestRetried,
    ScoreEvents,
    Target,
    TaskParked,
    TasksReopened,
    decode_score_events,
)
from app.faust_app import app
from app.positions import positions
from app.slices import TURN_SECONDS, Turns
from tables import chunks, controls, folds, progress, tasks
from tables.at import At
from tables.progress import State

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
    assert not scoring.attempts.writable.is_set()
    gone = TP(chunks.table.changelog_topic.get_topic_name(), 0)
    chunks.table.data.revoke_partitions(chunks.table, {gone})
    assert chunks.load(0, "r", 2) is not None  # as it is again when the partition comes back
    scoring.recovered({0})
    assert scoring.attempts.writable.is_set()


@pytest.mark.usefixtures("bare_tables")
async def test_a_cancel_is_owed_until_the_request_is_withdrawn_from_its_parked_tasks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ref = "callscore:///scorer/judge:1"
    offset = 0

    def append(partition: int, value: bytes) -> None:
        nonlocal offset
        offset += 1
        recorder.notify(partition, folds.SCORE_EVENTS.apply(At(partition, offset, 1.0), decode_score_events(value)))
        positions.applied(topics.score_events.name, partition, offset)

    def send(_: object, _key: None, value: bytes, partition: int) -> Any:
        append(partition, value)
        sent = asyncio.get_running_loop().create_future()
        sent.set_result(SimpleNamespace(offset=offset))
        return sent

    waits: list[bytes] = []
    monkeypatch.setattr(topics.Topic, "send", send)
    monkeypatch.setattr(scoring.outbox, "put", lambda _, event: waits.append(event))
    monkeypatch.setattr(scoring.outbox, "flush", lambda: None)
    scoring.scheduler.open(0)
    await scoring.parking.load(0)
    chunks.save(0, CHUNK.replace(scorer_refs=[ref], call_ids=["a", "b"]))
    for number, call_id in enumerate(["a", "b"]):
        parked = TaskParked(
            project_id="p",
            call_id=call_id,
            scorer_ref=ref,
            targets=[Target("r", 0, 0, number)],
            at=1.0,
            reason="waiting_for_call",
            until=9e9,
        )
        append(0, ScoreEvents.join([parked.encode()]))
    cancel = RequestCancelled(control_id="c", request_id="r", asked_by=None, asked_at=1.0)
    controls.save(0, cancel, 0)
    done = asyncio.Event()
    scoring.steering.obey(0, "r", 1, done.set)
    async with asyncio.timeout(10):
        while len(waits) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0)
        for _ in range(20):
            await asyncio.sleep(0)
        assert not done.is_set()
        assert len(list(tasks.parked(0))) == 2  # which a kill would leave so
        append(0, ScoreEvents.join(waits))
        await done.wait()
    assert list(tasks.parked(0)) == []
    scoring._forget_all()
