"""What a failed attempt says about its task."""

import pytest

from agents.admission import Gate
from agents.limits import Limiter
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
from tables.breakers import Breaker


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
