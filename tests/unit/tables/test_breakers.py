"""Circuit breakers: when they open, whom they let through, when they close, and what workers hear of each other."""

import time

import pytest

from app.scorers import Failure
from tables import breakers
from tables.breakers import FAILURES, LONGEST_PAUSE, Breaker

PROJECT = "acme/own"


def state(breaker: Breaker) -> str:
    return breaker.state


@pytest.fixture
def breaker() -> Breaker:
    return Breaker("s")


def fail(breaker: Breaker, failure: Failure, number: int = 1) -> bool:
    was_open = False
    for _ in range(number):
        was_open = breaker.failed(failure, "no", None, breaker.enter())
    return was_open


def test_a_bad_key_opens_it_at_once(breaker: Breaker) -> None:
    assert not fail(breaker, Failure.UNAUTHORIZED)
    assert state(breaker) == "open"
    assert breaker.shared.reason == "no"
    assert not breaker.lets_through(time.time())


@pytest.mark.parametrize("failure", [Failure.THROTTLED, Failure.UNAVAILABLE])
def test_so_many_failures_in_a_row_open_it(breaker: Breaker, failure: Failure) -> None:
    fail(breaker, failure, FAILURES - 1)
    assert state(breaker) == "closed"
    breaker.succeeded(breaker.enter())
    fail(breaker, failure, FAILURES - 1)
    assert state(breaker) == "closed"
    fail(breaker, failure)
    assert state(breaker) == "open"


@pytest.mark.parametrize("failure", [Failure.TRANSIENT, Failure.TERMINAL, Failure.POSTPONED])
def test_what_is_the_tasks_own_fault_never_opens_it(breaker: Breaker, failure: Failure) -> None:
    assert not fail(breaker, failure, 10 * FAILURES)
    assert state(breaker) == "closed"


def test_it_lets_one_task_through_and_that_one_decides(breaker: Breaker) -> None:
    fail(breaker, Failure.UNAUTHORIZED)
    late = breaker.shared.probe_at
    assert not breaker.lets_through(late - 0.01)
    assert breaker.lets_through(late)
    assert breaker.enter()
    assert state(breaker) == "half_open"
    assert not breaker.lets_through(late + 100)
    breaker.succeeded(probe=False)  # started before it opened
    assert state(breaker) == "half_open"
    breaker.succeeded(probe=True)
    assert state(breaker) == "closed"


def test_failures_while_it_is_open_are_not_the_tasks_and_pauses_grow_up_to_the_longest(breaker: Breaker) -> None:
    fail(breaker, Failure.UNAUTHORIZED)
    since, pauses = breaker.shared.since, []
    for _ in range(8):
        before = time.time()
        assert breaker.failed(Failure.UNAVAILABLE, "still not", None, breaker.enter())
        pauses.append((breaker.shared.probe_at - time.time(), breaker.shared.probe_at - before))
    for (least, most), pause in zip(pauses, [2, 4, 8, 16, *[LONGEST_PAUSE] * 4], strict=True):
        assert least <= pause <= most
    assert breaker.shared.since == since
    assert breaker.shared.reason == "still not"


def test_a_probe_waits_for_as_long_as_the_provider_said(breaker: Breaker) -> None:
    breaker.failed(Failure.UNAUTHORIZED, "no", 300.0, breaker.enter())
    assert breaker.shared.probe_at == pytest.approx(time.time() + 300, abs=1)


@pytest.mark.parametrize("retry_after", [None, 300.0])
def test_a_clock_that_is_set_back_keeps_nobody_waiting_for_longer_than_the_longest_pause(
    breaker: Breaker, retry_after: float | None
) -> None:
    breaker.failed(Failure.UNAUTHORIZED, "no", retry_after, breaker.enter())
    opened = time.time()
    longest = LONGEST_PAUSE + (retry_after or LONGEST_PAUSE)
    for hours in (1, 24):
        assert breaker.wait(opened - hours * 3600) <= 0
        assert breaker.lets_through(opened - hours * 3600)
    assert not breaker.lets_through(opened - 1)  # as clocks of other workers may be
    assert max(breaker.wait(opened - seconds) for seconds in range(3600)) <= longest


def test_a_probe_that_shows_nothing_is_followed_by_another(breaker: Breaker) -> None:
    fail(breaker, Failure.UNAUTHORIZED)
    breaker.abandon(breaker.enter())
    assert state(breaker) == "open"
    assert breaker.lets_through(breaker.shared.probe_at)


def test_the_news_wins_whoever_tells_it_and_however_often() -> None:
    one, other = Breaker("s"), Breaker("s")
    fail(one, Failure.UNAUTHORIZED)
    stale = one.shared
    other.merge(stale)
    assert (other.state, other.shared) == ("open", one.shared)
    other.close()
    other.merge(stale)
    assert state(other) == "closed"
    one.merge(other.shared)
    assert state(one) == "closed"


def test_closing_by_hand_closes_what_is_open_and_says_how_many() -> None:
    refs = ["test-open", "test-closed", "test-unknown"]
    fail(breakers.of(None, refs[0]), Failure.UNAUTHORIZED)
    fail(breakers.of(PROJECT, refs[0]), Failure.UNAUTHORIZED)
    breakers.of(None, refs[1])
    assert breakers.close(0, refs) == 2
    assert breakers.close(0, refs) == 0
    assert [breakers.open_state(PROJECT, ref) for ref in refs] == [None, None, None]


def test_a_scorer_that_one_project_publishes_for_itself_pauses_in_that_project_only() -> None:
    ref = "test-own"
    shared, own = breakers.of(None, ref), breakers.of(PROJECT, ref)
    fail(own, Failure.UNAUTHORIZED)
    assert breakers.open_state(PROJECT, ref) == own.shared
    assert breakers.open_state("acme/other", ref) is None
    [sent] = [state for state in breakers.outgoing() if state["scorer_ref"] == ref]
    assert breakers.merge(0, [sent])
    assert state(shared) == "closed"
    own.close()
    fail(shared, Failure.UNAUTHORIZED)
    assert breakers.open_state(PROJECT, ref) is None
    assert breakers.open_state("acme/other", ref) == shared.shared
    shown = {item["project_id"]: item["state"] for item in breakers.listing(0) if item["scorer_ref"] == ref}
    assert shown == {None: "open", PROJECT: "closed"}
    shared.close()


def test_fields_that_a_later_version_sends_are_ignored() -> None:
    state = breakers.BreakerState(scorer_ref="test-later", version=1, open=True, reason="no").as_dict()
    assert breakers.merge(0, [state | {"later": 1}])
    assert breakers.of(None, "test-later").shared.as_dict() == state
    breakers.of(None, "test-later").close()
