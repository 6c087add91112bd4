"""Async scorers: on the event loop, where none can hold its caller."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from app.scorers import BoundScorer, InvalidOutput, Runner, ScorerRaised, ScorerTimeout
from app.scorers.coroutines import MAX_ABANDONED
from tests.unit.scorers import sample_scorers

CALL = {"id": "c1", "op_name": "ask", "inputs": {"question": []}, "output": "four", "attributes": {}}
GENEROUS = 60.0

Bind = Callable[..., BoundScorer]
Go = Callable[..., Any]


def test_an_async_scorer_runs_on_the_event_loop(go: Go, bind: Bind) -> None:
    async def scenario() -> bytes:
        async with Runner() as runner:
            return await runner.run(bind("async_length"), CALL, GENEROUS)

    assert bind("async_length").mode == "async"
    assert go(scenario()) == b'{"score":4}'


def test_an_async_scorer_is_cancelled_at_its_timeout(go: Go, bind: Bind) -> None:
    async def scenario() -> None:
        async with Runner() as runner:
            with pytest.raises(ScorerTimeout):
                await runner.run(bind("never_answers"), CALL, 0.01)
            await asyncio.sleep(0)
            assert asyncio.all_tasks() == {asyncio.current_task()}

    go(scenario())


def test_a_scorer_that_swallows_cancellation_does_not_hold_its_caller_and_is_logged_once(
    go: Go, bind: Bind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.scorers.coroutines.CANCEL_GRACE", 0.0)
    bound = bind("swallows_cancellation")
    log = _Log()

    async def scenario() -> None:
        sample_scorers.Gate.open = asyncio.Event()
        log.written = asyncio.Event()
        runner = Runner()
        async with runner:
            for _ in range(2):
                with pytest.raises(ScorerTimeout):
                    await runner.run(bound, CALL, 0.01)
            await log.written.wait()
            await _until_abandoned(runner, bound, 2)
            assert await runner.run(bind("async_length"), CALL, GENEROUS) == b'{"score":4}'
            sample_scorers.Gate.open.set()
            await _until_abandoned(runner, bound, 0)

    with log:
        go(scenario())
    assert [record.getMessage() for record in log.records] == [
        f"{bound.ref} ignored its cancellation and is still running; its late result will be dropped."
    ]


def test_runs_that_ignore_their_cancellation_are_bounded(go: Go, bind: Bind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.scorers.coroutines.CANCEL_GRACE", 0.0)
    bound = bind("swallows_cancellation")

    async def scenario() -> None:
        sample_scorers.Gate.open = asyncio.Event()
        async with Runner() as runner:
            runs = [runner.run(bound, CALL, 0.01) for _ in range(MAX_ABANDONED)]
            await asyncio.gather(*runs, return_exceptions=True)
            await _until_abandoned(runner, bound, MAX_ABANDONED)
            with pytest.raises(ScorerTimeout, match="was not started"):
                await runner.run(bound, CALL, GENEROUS)
            sample_scorers.Gate.open.set()
            await _until_abandoned(runner, bound, 0)
            assert await runner.run(bound, CALL, GENEROUS) == b'{"passed":true}'

    go(scenario())


def test_a_cancelled_caller_is_free_at_once_and_its_scorer_is_cancelled(go: Go, bind: Bind) -> None:
    async def scenario() -> None:
        async with Runner() as runner:
            caller = asyncio.create_task(runner.run(bind("never_answers"), CALL, GENEROUS))
            await asyncio.sleep(0)
            caller.cancel()
            with pytest.raises(asyncio.CancelledError):
                await caller
            await asyncio.sleep(0)
            assert asyncio.all_tasks() == {asyncio.current_task()}

    go(scenario())


@pytest.mark.parametrize(
    ("kind", "type_name"),
    [
        ("async_system_exit", "SystemExit"),
        ("async_keyboard_interrupt", "KeyboardInterrupt"),
        ("cancels_itself", "CancelledError"),
    ],
)
def test_what_would_end_the_service_is_a_failure_of_this_run(go: Go, bind: Bind, kind: str, type_name: str) -> None:
    async def scenario() -> None:
        async with Runner() as runner:
            with pytest.raises(ScorerRaised) as caught:
                await runner.run(bind(kind), CALL, GENEROUS)
            assert caught.value.type == type_name

    go(scenario())


def test_an_async_output_that_is_not_json_is_invalid(go: Go, bind: Bind) -> None:
    async def scenario() -> None:
        async with Runner() as runner:
            with pytest.raises(InvalidOutput, match=r"\$ is nan"):
                await runner.run(bind("async_nan"), CALL, GENEROUS)

    go(scenario())


def test_an_async_scorer_cannot_change_the_call_for_others(go: Go, bind: Bind) -> None:
    async def scenario() -> None:
        async with Runner() as runner:
            for _ in range(2):
                assert await runner.run(bind("changes_its_input"), CALL, GENEROUS) == b"1"

    go(scenario())


async def _until_abandoned(runner: Runner, bound: BoundScorer, runs: int) -> None:
    while runner.abandoned(bound) != runs:  # noqa: ASYNC110
        await asyncio.sleep(0)


class _Log(logging.Handler):
    """Collects the warnings of async scorers; an event tells of the first."""

    written: asyncio.Event

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self._logger = logging.getLogger("app.scorers.coroutines")

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        self.written.set()

    def __enter__(self) -> None:
        self._logger.addHandler(self)

    def __exit__(self, *_error: object) -> None:
        self._logger.removeHandler(self)
