"""What becomes of a task whose attempt failed."""

import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

from agents.admission import Gate
from agents.limits import Limiter
from agents.retries import next_attempt
from app.providers import Limits
from app.scorers import Failure, Policy, RetryLater, ScorerError
from tables.breakers import Breaker
from tables.tasks import Task

POLICY = Policy(attempts=3, budget=100, backoff=0.5, longest_pause=60)


def task(attempts: int, excused: int = 0, trying_since: float | None = None) -> Task:
    """A task that has made so many attempts."""
    return Task(
        0, b"k", "p", "c", "s", "", [], attempts=attempts, excused=excused, trying_since=trying_since, parked=True
    )


def error(failure: Failure, retry_after: float | None = None) -> ScorerError:
    made = ScorerError("no")
    made.failure, made.retry_after = failure, retry_after
    return made


def test_what_would_end_the_same_is_not_tried_again() -> None:
    assert next_attempt(POLICY, task(1), error(Failure.TERMINAL), excused=False) is None
    assert next_attempt(POLICY, task(1), error(Failure.TERMINAL), excused=True) is None


@pytest.mark.parametrize("failure", [Failure.TRANSIENT, Failure.UNAVAILABLE])
def test_a_task_fails_when_its_attempts_are_spent_and_not_before(failure: Failure) -> None:
    assert next_attempt(POLICY, task(1), error(failure), excused=False) is not None
    assert next_attempt(POLICY, task(2), error(failure), excused=False) is not None
    assert next_attempt(POLICY, task(3), error(failure), excused=False) is None


def test_a_task_fails_when_its_budget_is_spent_and_not_before() -> None:
    now = time.time()
    assert next_attempt(POLICY, task(2, 1, now - 50), error(Failure.THROTTLED), excused=False) is not None
    assert next_attempt(POLICY, task(2, 1, now - 100), error(Failure.THROTTLED), excused=False) is None


def test_retry_after_is_kept_when_it_is_longer_than_the_backoff_and_than_the_budget() -> None:
    before = time.time()
    following = next_attempt(POLICY, task(1), error(Failure.THROTTLED, 500.0), excused=False)
    assert following is not None
    assert before + 500 <= following.next_at <= time.time() + 500


def test_an_attempt_that_was_told_to_come_later_does_not_count() -> None:
    following = next_attempt(POLICY, task(30, 29), RetryLater(1), excused=False)
    assert following is not None
    assert following.excused == 30
    assert following.trying_since is not None


def test_an_attempt_during_a_pause_does_not_count_and_what_was_spent_is_forgiven() -> None:
    following = next_attempt(POLICY, task(9, 2, 1.0), error(Failure.UNAVAILABLE), excused=True)
    assert following is not None
    assert (following.excused, following.trying_since) == (3, None)
    assert following.next_at <= time.time() + 0.5


def test_tasks_that_only_excuse_each_other_end_and_an_outage_of_an_hour_fails_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    for module in ("agents.retries", "agents.admission", "tables.breakers"):
        monkeypatch.setattr(f"{module}.time", SimpleNamespace(time=lambda: now))
    gate = Gate(Breaker("s"), Limiter(Limits()), None, lambda: None)
    owed, ended = {name: task(0) for name in ("one", "other")}, {}
    due = dict.fromkeys(owed, now)
    while owed and now < 100_000:
        name = min(owed, key=lambda name: due[name])
        now = max(now, due[name])
        while not gate.room():
            now += max(gate.ready_in(), 0.01)
        tried = replace(owed[name], attempts=owed[name].attempts + 1)
        failed = error(Failure.UNAVAILABLE)
        excused = gate.enter(0, tried.attempts - tried.excused).release(failed)
        following = next_attempt(POLICY, tried, failed, excused)
        if following is None:
            ended[name] = now - 1000.0
            del owed[name]
        else:
            due[name] = following.next_at
            owed[name] = replace(
                tried,
                excused=following.excused,
                trying_since=following.trying_since,
                failing_since=following.failing_since,
            )
    assert not owed
    assert all(3600 <= seconds < 3900 for seconds in ended.values())


def test_an_outage_longer_than_the_budget_fails_only_what_was_tried_as_often_as_it_would_be_alone() -> None:
    failing_since = time.time() - 5000
    tried = {number: replace(task(number, number - 1), failing_since=failing_since) for number in (2, 3)}
    following = [next_attempt(POLICY, one, error(Failure.UNAUTHORIZED), excused=True) for one in tried.values()]
    assert [one is None for one in following] == [False, True]
    longer = POLICY.model_copy(update={"budget": 6000})
    assert next_attempt(longer, tried[3], error(Failure.UNAUTHORIZED), excused=True) is not None
    more_often = POLICY.model_copy(update={"attempts": 4})
    assert next_attempt(more_often, tried[3], error(Failure.UNAUTHORIZED), excused=True) is not None
    unbounded = POLICY.model_copy(update={"attempts": None, "budget": None})
    assert next_attempt(unbounded, tried[3], error(Failure.UNAUTHORIZED), excused=True) is None


def test_the_task_that_finds_out_that_a_key_is_bad_does_not_pay_for_it() -> None:
    once = POLICY.model_copy(update={"attempts": 1})
    assert next_attempt(once, task(1), error(Failure.UNAUTHORIZED), excused=False) is not None
    assert next_attempt(once, task(3), error(Failure.UNAUTHORIZED), excused=False) is None
