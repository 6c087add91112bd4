"""Async scorers on an event loop, where none can hold whoever waits for it."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from app.scorers import BoundScorer, InvalidOutput, Report, ScorerError, ScorerRaised, ScorerTimeout
from app.scorers.coroutines import MAX_ABANDONED, Coroutines
from tests.unit.scorers import sample_scorers

GENEROUS = 60.0

Bind = Callable[..., BoundScorer]
Go = Callable[..., Any]


def unlimited() -> Coroutines:
    return Coroutines(lambda ref: None)


async def score(coroutines: Coroutines, bound: BoundScorer, seconds: float = GENEROUS) -> bytes | ScorerError:
    """What comes of a run."""
    came: asyncio.Future[bytes | ScorerError] = asyncio.get_running_loop().create_future()
    coroutines.begin(bound.ref, bound.target, {"output": "four"}, seconds, Report(), came.set_result)
    return await came


def test_an_async_scorer_is_cancelled_at_its_timeout(go: Go, bind: Bind) -> None:
    async def scenario() -> None:
        assert isinstance(await score(unlimited(), bind("never_answers"), 0.01), ScorerTimeout)
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    go(scenario())


def test_a_scorer_that_swallows_cancellation_holds_nobody_and_is_logged_once(
    go: Go, bind: Bind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.scorers.coroutines.CANCEL_GRACE", 0.0)
    bound = bind("swallows_cancellation")
    log = _Log()

    async def scenario() -> None:
        sample_scorers.Gate.open = asyncio.Event()
        log.written = asyncio.Event()
        coroutines = unlimited()
        for _ in range(2):
            assert isinstance(await score(coroutines, bound, 0.01), ScorerTimeout)
        await log.written.wait()
        await _until_abandoned(coroutines, bound, 2)
        assert await score(coroutines, bind("async_length")) == b'{"score":4}'
        sample_scorers.Gate.open.set()
        await _until_abandoned(coroutines, bound, 0)

    with log:
        go(scenario())
    assert [record.getMessage() for record in log.records] == [
        f"{bound.ref} ignored its cancellation and is still running; its late result will be dropped."
    ]


def test_too_many_runs_that_ignore_their_cancellation_are_reported(
    go: Go, bind: Bind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.scorers.coroutines.CANCEL_GRACE", 0.0)
    bound = bind("swallows_cancellation")

    async def scenario() -> None:
        sample_scorers.Gate.open = asyncio.Event()
        reported: list[str] = []
        coroutines = Coroutines(reported.append)
        for runs, expected in ((MAX_ABANDONED - 1, []), (1, [bound.ref])):
            before = coroutines.abandoned(bound.ref)
            await asyncio.gather(*(score(coroutines, bound, 0.01) for _ in range(runs)))
            await _until_abandoned(coroutines, bound, before + runs)
            assert reported == expected
        sample_scorers.Gate.open.set()
        await _until_abandoned(coroutines, bound, 0)

    go(scenario())


def test_of_what_was_cancelled_nobody_is_told(go: Go, bind: Bind) -> None:
    async def scenario() -> None:
        told: list[Any] = []
        bound = bind("never_answers")
        running = unlimited().begin(bound.ref, bound.target, {"output": "four"}, GENEROUS, Report(), told.append)
        await asyncio.sleep(0)
        running.cancel()
        while len(asyncio.all_tasks()) > 1:  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert told == []

    go(scenario())


@pytest.mark.parametrize(
    ("kind", "type_name"),
    [
        ("async_system_exit", "SystemExit"),
        ("async_keyboard_interrupt", "KeyboardInterrupt"),
        ("cancels_itself", "CancelledError"),
    ],
)
def test_what_would_end_the_process_is_a_failure_of_this_run(go: Go, bind: Bind, kind: str, type_name: str) -> None:
    came = go(score(unlimited(), bind(kind)))
    assert isinstance(came, ScorerRaised)
    assert came.type == type_name


def test_a_run_whose_outcome_cannot_be_made_has_failed(go: Go, bind: Bind, monkeypatch: pytest.MonkeyPatch) -> None:
    def cannot(output: Any) -> bytes:
        raise OverflowError("signed integer is greater than maximum")

    monkeypatch.setattr("app.scorers.coroutines.encode_checked", cannot)
    came = go(asyncio.wait_for(score(unlimited(), bind("async_length")), GENEROUS))
    assert isinstance(came, ScorerRaised)
    assert came.type == "OverflowError"


def test_an_async_output_that_is_not_json_is_invalid(go: Go, bind: Bind) -> None:
    came = go(score(unlimited(), bind("async_nan")))
    assert isinstance(came, InvalidOutput)
    assert "$ is nan" in str(came)


async def _until_abandoned(coroutines: Coroutines, bound: BoundScorer, runs: int) -> None:
    while coroutines.abandoned(bound.ref) != runs:  # noqa: ASYNC110
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
