"""What a failed attempt says about its task, and about whom it asked."""

import math
from collections import deque
from types import SimpleNamespace

import pytest

from agents.admission import Gate, Permit
from agents.limits import PLENTY, Limiter
from app.providers import Limits
from app.scorers import (
    Failure,
    MissingInput,
    NoJudgement,
    ScorerDied,
    ScorerError,
    ScorerTimeout,
    ScorerVersionUnavailable,
)
from app.scorers.errors import BystanderDied
from tables.breakers import FAILURES, Breaker


@pytest.fixture
def gate() -> Gate:
    return Gate(Breaker("s"), Limiter(Limits()), None, lambda: None)


def unavailable() -> ScorerError:
    error = ScorerError("500")
    error.failure = Failure.UNAVAILABLE
    return error


def test_a_failure_amid_those_of_others_is_not_its_tasks(gate: Gate) -> None:
    assert not gate.enter(0, 1).release(unavailable())
    assert gate.enter(0, 1).release(unavailable())
    gate.enter(0, 1).release(None)
    assert not gate.enter(0, 2).release(unavailable())


def test_a_task_that_fails_alone_pays_for_each_attempt(gate: Gate) -> None:
    assert [gate.enter(0, number).release(unavailable()) for number in (1, 2, 3)] == [False] * 3


def test_other_failures_are_always_the_tasks_own(gate: Gate) -> None:
    assert not any(gate.enter(0, 1).release(ScorerError("no")) for _ in range(5))


@pytest.mark.parametrize(
    "error",
    [
        MissingInput("no output"),
        ScorerVersionUnavailable("other code"),
        ScorerDied("killed"),
        BystanderDied("another run hung"),
        ScorerTimeout("too long"),
        NoJudgement("endpoint_forbidden", "not allowed"),
        NoJudgement("provider_unknown", "nobody"),
        NoJudgement("request_too_large", "2 MiB"),
    ],
)
def test_an_attempt_in_which_nobody_answered_says_nothing_of_whom_it_asks(gate: Gate, error: ScorerError) -> None:
    gate.enter(0, 1).release(unavailable())
    assert not gate.enter(0, 1).release(error)
    assert gate.enter(0, 1).release(unavailable())  # the second in a row


def test_an_answer_that_is_no_score_shows_that_whoever_was_asked_is_there(gate: Gate) -> None:
    gate.enter(0, 1).release(unavailable())
    assert not gate.enter(0, 1).release(NoJudgement("judgement_unreadable", "it is not JSON"))
    assert not gate.enter(0, 1).release(unavailable())


def test_an_attempt_that_has_ended_does_not_count_again(gate: Gate) -> None:
    permit = gate.enter(0, 1)
    permit.release(unavailable())
    assert not permit.release(unavailable())
    permit.abandon()
    assert gate.own.held == 0
    assert not gate.enter(0, 1).release(ScorerError("no"))


def test_an_attempt_that_is_cancelled_leaves_its_place_to_another() -> None:
    gate = Gate(Breaker("s"), Limiter(Limits(concurrency=1)), None, lambda: None)
    permit = gate.enter(0, 1)
    assert gate.room() == 0
    permit.abandon()
    assert gate.room() == 1


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The time of gates: `now` may be set."""
    clock = SimpleNamespace(now=1000.0)
    clock.time = clock.monotonic = lambda: clock.now
    for module in ("agents.admission", "agents.limits", "tables.breakers"):
        monkeypatch.setattr(f"{module}.time", clock)
    return clock


def test_a_scorer_that_is_paused_asks_once_when_its_pause_is_over_and_not_beyond_its_limits(
    gate: Gate, clock: SimpleNamespace
) -> None:
    rejected = ScorerError("bad key")
    rejected.failure = Failure.UNAUTHORIZED
    gate.enter(0, 1).release(rejected)
    assert gate.room() == 0
    clock.now += gate.ready_in()
    assert gate.room() == 1
    gate.own.limit(Limits(concurrency=1))
    gate.own.take(0, clock.now)
    assert gate.room() == 0


def asking(timeout: float) -> tuple[Gate, Limiter]:
    """The gate of a scorer with a provider, and the provider's limiter."""
    provider = Limiter(Limits(concurrency=50))
    gate = Gate(Breaker("s"), Limiter(Limits()), provider, lambda: None)
    gate.timeout = timeout
    return gate, provider


def test_time_outs_one_after_the_other_halve_what_their_scorer_asks_at_once_and_nobody_elses(
    clock: SimpleNamespace,
) -> None:
    gate, provider = asking(60.0)
    permits = [gate.enter(0, 1) for _ in range(40)]
    permits.pop().release(ScorerTimeout("alone, it says nothing"))
    assert gate.own.room(clock.now) == PLENTY - 39
    for permit in permits:
        clock.now += 1
        permit.release(ScorerTimeout("amid others"))
    assert (gate.own.room(clock.now), provider.room(clock.now)) == (19, 50)


def test_probes_that_time_out_leave_what_their_scorer_may_ask_at_once_when_whoever_it_asks_is_back(
    clock: SimpleNamespace,
) -> None:
    gate, _ = asking(60.0)
    permits = [gate.enter(0, 1) for _ in range(40)]
    for permit in permits:
        permit.release(ScorerTimeout("amid others"))
    may_ask = gate.own.room(clock.now)
    for _ in range(10):
        clock.now += gate.ready_in()
        assert gate.room() == 1
        probe = gate.enter(0, 1)
        assert (gate.room(), gate.ready_in()) == (0, math.inf)
        clock.now += 60
        assert probe.release(ScorerTimeout("still away"))
        assert gate.room() == 0
    clock.now += gate.ready_in()
    gate.enter(0, 1).release(None)
    assert gate.room() >= may_ask > 1


def test_a_probe_that_is_refused_slows_its_provider_down(clock: SimpleNamespace) -> None:
    gate, provider = asking(60.0)
    throttled = ScorerError("429")
    throttled.failure = Failure.THROTTLED
    for _ in range(FAILURES):
        gate.enter(0, 1).release(throttled)
    assert provider.room(clock.now) == 25
    clock.now += gate.ready_in()
    gate.enter(0, 1).release(throttled)
    assert provider.room(clock.now) == 12


def test_a_slow_endpoint_is_kept_busy_and_few_of_its_answers_come_too_late(clock: SimpleNamespace) -> None:
    """It answers one request at a time, in a tenth of the time-out."""
    gate, _ = asking(30.0)
    waiting: deque[tuple[float, Permit]] = deque()
    answered = late = 0
    for _ in range(1000):
        clock.now += 3
        if waiting:
            waiting.popleft()[1].release(None)
            answered += 1
        while waiting and waiting[0][0] <= clock.now - 30:
            waiting.popleft()[1].release(ScorerTimeout("too late"))
            late += 1
        while gate.room() > 0:
            waiting.append((clock.now, gate.enter(0, 1)))
    assert answered > 950
    assert late < 150
