"""Carrying out what is asked of a request keeps nobody waiting."""

import asyncio
import time

import pytest

from agents import steering
from app.events import RequestRetried, TasksReopened
from app.slices import TURN_SECONDS, Turns
from tables import chunks, progress
from tables.progress import State

FAILED = 100


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
    chunk = chunks.Row(
        offset=0,
        request_id="r",
        chunk=0,
        project_id="p",
        call_ids=[str(n) for n in range(FAILED)],
        scorer_refs=["s"],
        requested_at=1.0,
    )
    known = progress.Row(states=bytearray([State.FAILED] * FAILED))
    asked = RequestRetried(
        control_id="c", request_id="r", statuses=["failed"], error_types=["refused"], asked_by=None, asked_at=1.0
    )
    event = await steering._applied_to(0, chunk, 0, known, 1, asked, Turns())
    meanwhile.cancel()
    assert isinstance(event, TasksReopened)
    assert event.calls == list(range(1, FAILED, 2))
    assert rounds >= FAILED / 8
