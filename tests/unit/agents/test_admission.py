"""What a failed attempt says about its task, and about whom it asked."""

import asyncio
import dataclasses
import math
from collections import deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from agents.admission import Admission, Gate, Permit
from agents.limits import PLENTY, Limiter
from app.providers import Limits, Provider
from app.scorers import (
    BoundScorer,
    Failure,
    MissingInput,
    NoJudgement,
    Policy,
    Registry,
    ScorerDied,
    ScorerError,
    ScorerTimeout,
    ScorerVersionUnavailable,
)
from app.scorers.errors import BystanderDied
from tables import breakers
from tables.breakers import FAILURES, Breaker, BreakerState


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


@pytest.mark.parametrize(
    "end", [Permit.abandon, Permit.return_unused, lambda permit: permit.release(MissingInput("x"))]
)
def test_a_probe_that_ends_without_an_answer_leaves_the_next_look_to_another(
    gate: Gate, clock: SimpleNamespace, end: Callable[[Permit], object]
) -> None:
    rejected = ScorerError("bad key")
    rejected.failure = Failure.UNAUTHORIZED
    gate.enter(0, 1).release(rejected)
    clock.now += gate.ready_in()
    probe = gate.enter(0, 1)
    assert gate.room() == 0
    end(probe)
    assert gate.room() == 1
    assert gate.own.held == 0


def test_whoever_waits_is_called_whenever_an_attempt_has_ended(clock: SimpleNamespace) -> None:
    calls = 0

    def wake() -> None:
        nonlocal calls
        calls += 1

    gate = Gate(Breaker("s"), Limiter(Limits(concurrency=1)), None, wake)
    ends: list[Callable[[Permit], object]] = [
        lambda permit: permit.release(None),
        lambda permit: permit.release(ScorerError("no")),
        lambda permit: permit.release(MissingInput("no output")),
        Permit.abandon,
        Permit.return_unused,
    ]
    for number, end in enumerate(ends, 1):
        permit = gate.enter(0, 1)
        assert (gate.room(), calls) == (0, number - 1)
        end(permit)
        assert (gate.room(), calls) == (1, number)


def test_an_attempt_for_which_nobody_was_asked_counts_in_no_limit(clock: SimpleNamespace) -> None:
    provider = Limiter(Limits(tokens_per_minute=600, requests_per_minute=60))
    gate = Gate(Breaker("s"), Limiter(Limits()), provider, lambda: None)
    gate.answer_tokens = 100
    gate.enter(2000, 1).return_unused()
    assert gate.room() == 1
    gate.enter(2000, 1).release(None)  # 500 tokens and 100
    assert gate.room() == 0
    assert gate.ready_in() == pytest.approx(60, abs=0.5)


def test_a_failure_is_not_its_tasks_if_another_worker_has_found_that_others_fail_too(gate: Gate) -> None:
    permit = gate.enter(0, 1)
    gate._breaker.merge(BreakerState(scorer_ref="s", version=1, open=True, probe_at=9e9))
    assert permit.release(unavailable())


def test_answers_bring_back_what_refusals_took(clock: SimpleNamespace) -> None:
    gate, provider = asking(60.0)
    throttled = ScorerError("429")
    throttled.failure = Failure.THROTTLED
    gate.enter(0, 1).release(throttled)
    assert provider.room(clock.now) == 25
    for _ in range(10):
        clock.now += 1
        gate.enter(0, 1).release(None)
    assert provider.room(clock.now) == 50


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


def test_failures_amid_others_that_come_at_once_leave_what_their_scorer_may_ask(clock: SimpleNamespace) -> None:
    gate, _ = asking(60.0)
    for _ in range(FAILURES - 1):
        gate.enter(0, 1).release(unavailable())
    assert gate.own.room(clock.now) == PLENTY


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


SCORERS = Registry.load().parameterless()
INLINE = next(bound for bound in SCORERS if bound.mode == "inline")


def bound(mode: str, ref: str = "s", project_id: str | None = None, **policy: Any) -> BoundScorer:
    """A scorer that is run in this way, by this policy."""
    made = dataclasses.replace(INLINE, ref=ref, project_id=project_id, policy=Policy(**policy))
    made.__dict__["mode"] = mode
    return made


class Woken:
    """Who is woken once there may be room again."""

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.times = 0

    def __call__(self) -> None:
        self.times += 1
        self.event.set()


@pytest.fixture
def woken() -> Woken:
    return Woken()


@pytest.fixture
def admission(woken: Woken, monkeypatch: pytest.MonkeyPatch) -> Admission:
    """Of a worker that has half of all limits."""
    monkeypatch.setattr(breakers, "_breakers", {})
    monkeypatch.setattr(breakers, "when_changed", [])
    provider = Provider(base_url="https://judge.example", limits=Limits(concurrency=8))
    made = Admission({"judge": provider}, woken, processes_of_one=3)
    made.take_share(0.5)
    return made


def test_scorers_of_one_provider_share_its_limits_and_have_their_own_beside(admission: Admission) -> None:
    one = admission.gate(bound("async", "one", provider="judge"))
    other = admission.gate(bound("async", "other", provider="judge", concurrency=2))
    unknown = admission.gate(bound("async", "unknown", provider="gone"))
    assert [admission.room(gate) for gate in (one, other, unknown)] == [4, 1, PLENTY]
    for _ in range(4):
        one.enter(0, 1)
    assert [admission.room(gate) for gate in (one, other, unknown)] == [0, 0, PLENTY]


def test_a_share_applies_to_every_limit_also_of_scorers_that_come_later(admission: Admission, woken: Woken) -> None:
    scorers = [
        bound("async", "own", concurrency=10),
        bound("async", "asks", provider="judge"),
        bound("async", "of nobody known", provider="gone"),
        bound("process", "process"),
    ]
    gates = [admission.gate(scorer) for scorer in scorers]
    before = woken.times
    admission.take_share(0.0)
    assert woken.times == before + 1
    gates += [admission.gate(bound("async", "late", concurrency=10)), admission.gate(bound("process", "late too"))]
    assert [admission.room(gate) for gate in gates] == [0] * 6
    admission.take_share(1.0)
    assert [admission.room(gate) for gate in gates] == [10, 8, PLENTY, 3, 10, 3]


def test_what_nothing_limits_needs_no_share(admission: Admission) -> None:
    admission.take_share(0.0)
    free = admission.gate(bound("inline", "free"))
    assert admission.room(free) == PLENTY
    assert not free.enter(0, 1).release(unavailable())
    for limited in (bound("inline", "own", concurrency=4), bound("inline", "asks", provider="judge")):
        assert admission.room(admission.gate(limited)) == 0


def test_processes_of_a_scorer_are_those_of_all_projects_that_have_it(admission: Admission) -> None:
    one, other = (admission.gate(bound("process", "s", project_id)) for project_id in ("p", "q"))
    assert one is not other
    one.enter(0, 1)
    assert (admission.room(one), admission.room(other)) == (2, 2)


def test_a_policy_that_changes_applies_at_once_to_what_has_begun_before_it_too(admission: Admission) -> None:
    first = bound("async", concurrency=8)
    gate = admission.gate(first)
    assert admission.gate(first) is gate
    permits = [gate.enter(0, 1) for _ in range(3)]
    changed = admission.gate(bound("async", concurrency=10))
    assert admission.room(changed) == 2
    permits[0].release(None)
    assert admission.room(changed) == 3
    # From one without limits to one with some, and back.
    assert admission.room(admission.gate(bound("inline", "t"))) == PLENTY
    assert admission.room(admission.gate(bound("inline", "t", concurrency=4))) == 2
    assert admission.room(admission.gate(bound("inline", "t"))) == PLENTY


async def test_who_finds_no_room_is_woken_when_there_is_some_by_then_and_when_a_breaker_changes(
    admission: Admission, woken: Woken
) -> None:
    fast = admission.gate(bound("async", "fast", requests_per_minute=1200))  # half of it: one in 100 ms
    slow = admission.gate(bound("async", "slow", requests_per_minute=6))  # one in 20 s
    full = admission.gate(bound("async", "full", concurrency=1))
    for gate in (slow, fast, full):
        gate.enter(0, 1)
    woken.times = 0
    woken.event.clear()
    assert [admission.room(gate) for gate in (full, slow, fast, slow)] == [0] * 4
    async with asyncio.timeout(10):
        await woken.event.wait()
    assert (woken.times, admission.room(fast), admission.room(slow)) == (1, 1, 0)
    breakers.of(None, "fast").failed(Failure.UNAUTHORIZED, "bad key", None, False)
    assert woken.times == 2
