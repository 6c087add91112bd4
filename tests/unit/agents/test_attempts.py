"""An attempt ends once: its gate is given back, its outcome is told, and a later one at the same task goes on."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from agents.admission import Permit
from agents.attempt import Attempt
from agents.attempts import Attempts
from agents.outbox import Outbox
from app import cluster
from app.faust_app import app
from app.scorers import BoundScorer, Failure, Outcome, Policy, Registry, Runner, ScorerError, ScorerTimeout
from tables import calls, in_flight
from tables.tasks import Task

CALL_ROW = cast(calls.Row, {"call": {"id": "c", "output": "o"}, "parts": {"end": "e"}})
KEY = b"p\x00c\x00ref\x00"


class Begun:
    """A runner that begins everything, and ends nothing by itself."""

    def __init__(self) -> None:
        self.on_outcome: list[Callable[[Outcome], None]] = []
        self.on_request: list[Callable[[Callable[[], None]], None]] = []
        self.cancelled: list[int] = []

    def begin(self, *what: Any) -> Any:
        number = len(self.on_outcome)
        *_, on_outcome, on_request = what
        self.on_outcome.append(on_outcome)
        self.on_request.append(on_request)
        return type("Running", (), {"cancel": lambda _: self.cancelled.append(number)})()


class Asked(Outbox):
    """An outbox whose log fails at first."""

    fails: Callable[[], None]

    def __init__(self) -> None:
        super().__init__()
        self.durable = False
        self.puts = 0

    def put_durably(self, partition: int, encoded: bytes, sent: Callable[[bool], None]) -> None:
        self.puts += 1
        if not self.durable:
            self.fails()
        sent(self.durable)


class Gate:
    """Counts how often an attempt behind it has ended, and how often without an outcome."""

    def __init__(self) -> None:
        self.ends = self.abandons = self.unused_ends = 0
        self.failures: list[ScorerError] = []

    def failed(self, error: ScorerError, probe: bool, counted: int) -> bool:
        self.failures.append(error)
        return False

    def succeeded(self, probe: bool) -> None:
        self.ends += 1

    def abandoned(self, probe: bool) -> None:
        self.abandons += 1

    def unused(self, probe: bool, tokens: float) -> None:
        self.unused_ends += 1


@pytest.fixture(scope="module")
def bound() -> BoundScorer:
    return replace(Registry.load(["tests.gated_scorers"]).bind("gated", "gated", {}), policy=Policy(timeout=60))


def entry_of() -> in_flight.Entry:
    return in_flight.Entry(Task(0, KEY, "p", "c", "ref", "", []), time.time())


class Scene:
    """Attempts at one task."""

    def __init__(self, bound: BoundScorer) -> None:
        self.bound = bound
        self.runner = Begun()
        self.outbox = Asked()
        self.told: list[tuple[in_flight.Entry, Outcome]] = []
        self.attempts = Attempts(cast(Runner, self.runner), self.outbox, self._on_outcome)
        self.outbox.fails = self.attempts.writable.clear

    def start(self) -> tuple[in_flight.Entry, Gate]:
        entry, gate = entry_of(), Gate()
        self.attempts.start(entry, self.bound, CALL_ROW, Permit(cast(Any, gate), False, 1))
        return entry, gate

    def _on_outcome(self, entry: in_flight.Entry, attempt: Attempt, outcome: Outcome, excused: bool) -> None:
        self.told.append((entry, outcome))


@pytest.fixture
async def scene(bound: BoundScorer, table_dir: Path) -> Scene:
    return Scene(bound)


async def test_a_late_end_of_an_earlier_attempt_is_not_told_and_leaves_a_later_one_to_be_stopped(scene: Scene) -> None:
    earlier, gate = scene.start()
    earlier.running = False  # its partition went away and came back
    scene.start()
    scene.runner.on_outcome[0](b"1")
    assert (scene.told, gate.ends) == ([], 1)
    scene.attempts.cancel(KEY)
    assert scene.runner.cancelled == [1]


async def test_an_attempt_that_is_cancelled_gives_its_gate_back_once(scene: Scene) -> None:
    _, gate = scene.start()
    scene.attempts.cancel(KEY)
    scene.attempts.cancel(KEY)
    assert (scene.runner.cancelled, gate.abandons, gate.ends) == ([0], 1, 0)


async def test_a_judgement_that_is_used_again_says_nothing_of_whom_it_was_asked_and_takes_none_of_its_limits(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def known(*_: object) -> bytes:
        return b"1"

    monkeypatch.setattr(scene.attempts, "_cached_judgement", known)
    scene.bound = replace(scene.bound, policy=Policy(cache=True, timeout=60))
    entry, gate = scene.start()
    while not scene.told:  # noqa: ASYNC110
        await asyncio.sleep(0)
    assert (scene.told, gate.unused_ends, gate.abandons, gate.ends) == ([(entry, b"1")], 1, 0, 0)


async def test_an_earlier_judgement_is_looked_up_once_it_is_sure_who_has_the_partitions(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def found(*_: object) -> dict[int, object]:
        assert not app.consumer.in_doubt
        return {0: {"call_id": "c", "scorer_ref": "ref", "output": 1}}

    async def later(_: float) -> None:
        monkeypatch.setattr(type(app.consumer), "in_doubt", False)

    monkeypatch.setattr(type(app.consumer), "in_doubt", True)
    monkeypatch.setattr(asyncio, "sleep", later)
    monkeypatch.setattr(cluster, "everywhere", found)
    monkeypatch.setattr(Attempt, "question", lambda _: "digest")
    entry, _ = scene.start()
    attempt = Attempt(scene.bound, CALL_ROW)
    assert await scene.attempts._cached_judgement(entry.task, attempt) == b"1"


async def test_an_outcome_waits_until_the_log_takes_it_and_its_gate_does_not(scene: Scene) -> None:
    entry, gate = scene.start()
    scene.attempts.writable.clear()
    scene.runner.on_outcome[0](b"1")
    await asyncio.sleep(0)
    assert (scene.told, gate.ends) == ([], 1)
    scene.attempts.writable.set()
    while not scene.told:  # noqa: ASYNC110
        await asyncio.sleep(0)
    assert scene.told == [(entry, b"1")]
    assert not scene.attempts._running


async def test_an_attempt_that_cannot_begin_has_failed_and_one_that_has_ended_at_once_leaves_its_gate(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin(*_: object) -> None:
        raise OSError("no process")

    monkeypatch.setattr(scene.runner, "begin", begin)
    entry, gate = scene.start()
    [(told, failed)] = scene.told
    assert (told, gate.failures) == (entry, [failed])
    monkeypatch.setattr(scene.runner, "run_inline", lambda *_: b"1", raising=False)
    scene.bound = Registry.load().parameterless()[0]
    _, gate = scene.start()
    assert (scene.told[1][1], gate.ends) == (b"1", 1)


async def test_nobody_is_asked_until_the_log_has_taken_that(scene: Scene) -> None:
    scene.start()
    asked = asyncio.Event()
    scene.runner.on_request[0](asked.set)
    scene.runner.on_request[0](asked.set)  # while it takes nothing
    await asyncio.sleep(0)
    assert (scene.outbox.puts, asked.is_set()) == (1, False)
    scene.outbox.durable = True
    scene.attempts.writable.set()
    await asyncio.wait_for(asked.wait(), 10)
    while scene.outbox.puts < 3:  # noqa: ASYNC110
        await asyncio.sleep(0)


async def test_a_time_out_before_the_log_has_taken_that_somebody_is_asked_counts_neither_for_the_task_nor_its_gate(
    scene: Scene,
) -> None:
    entry, gate = scene.start()
    asked = asyncio.Event()
    scene.runner.on_request[0](asked.set)
    scene.runner.on_outcome[0](ScorerTimeout("It ran longer than its time-out."))
    scene.outbox.durable = True
    scene.attempts.writable.set()
    while not scene.told:  # noqa: ASYNC110
        await asyncio.sleep(0)
    [(told, outcome)] = scene.told
    assert told is entry
    assert isinstance(outcome, ScorerError)
    assert (outcome.type, outcome.failure) == ("scorer_timeout", Failure.POSTPONED)
    assert (gate.abandons, gate.ends) == (1, 0)
    assert (scene.outbox.puts, asked.is_set()) == (1, False)  # it is over, so nobody is asked later


async def test_a_time_out_after_somebody_was_asked_counts(scene: Scene) -> None:
    _, gate = scene.start()
    scene.outbox.durable = True
    asked = asyncio.Event()
    scene.runner.on_request[0](asked.set)
    late = ScorerTimeout("It ran longer than its time-out.")
    scene.runner.on_outcome[0](late)
    assert asked.is_set()
    assert [outcome for _, outcome in scene.told] == [late]
    assert (gate.failures, gate.abandons) == ([late], 0)


async def test_of_an_attempt_that_is_over_it_is_not_written_later_that_somebody_is_asked(scene: Scene) -> None:
    entry, _ = scene.start()
    asked = asyncio.Event()
    scene.runner.on_request[0](asked.set)
    entry.running = False  # its partition went away
    scene.outbox.durable = True
    scene.attempts.writable.set()
    for _ in range(3):
        await asyncio.sleep(0)
    assert (scene.outbox.puts, asked.is_set()) == (1, False)
