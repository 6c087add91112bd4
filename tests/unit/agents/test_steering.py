"""Carrying out what is asked of a request keeps nobody waiting, and holds no table that goes to another worker."""

import asyncio
import time
from pathlib import Path

import pytest
from faust.types import TP

from agents import steering
from agents.scoring import scoring
from app import worker  # noqa: F401 - it says what happens when partitions move
from app.events import RequestRetried, TasksReopened
from app.faust_app import app
from app.slices import TURN_SECONDS, Turns
from tables import chunks, progress
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


async def test_when_partitions_move_nothing_of_them_is_started_or_said_and_no_table_is_held_any_more(
    table_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks.table, "has_changelog", False)
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
    scoring.reassigned({0})
    assert scoring.attempts.writable.is_set()
