"""Limits: no window sees more than its share, and what is refused is asked for less often."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.limits import BURST, Limiter
from app.providers import Limits


def run(limiter: Limiter, begin: float, end: float, step: float, tokens: float = 0.0) -> list[float]:
    """Start whatever there is room for, at every step; each attempt ends at once."""
    starts = []
    now = begin
    while now < end:
        while limiter.room(now) > 0:
            limiter.take(tokens, now)
            limiter.give_back()
            starts.append(now)
        now += step
    return starts


def most_in(starts: list[float], window: float) -> int:
    return max((sum(at <= other < at + window for other in starts) for at in starts), default=0)


@settings(deadline=None, max_examples=30)
@given(per_minute=st.floats(1, 6000), step=st.floats(0.001, 0.5), idle=st.floats(0, 300))
def test_no_window_sees_more_than_the_limit_and_a_twentieth(per_minute: float, step: float, idle: float) -> None:
    limiter = Limiter(Limits(requests_per_minute=per_minute))
    starts = run(limiter, 0, 3, step) + run(limiter, 3 + idle, 6 + idle, step)
    rate = per_minute / 60
    for window in (1.0, 3.0):
        assert most_in(starts, window) <= rate * window + max(1.0, BURST * rate) + 1e-3
    assert len(starts) >= math.floor(3 * min(rate, 1 / step) * 0.9)


def test_a_minute_holds_exactly_its_limit_and_a_twentieth() -> None:
    starts = run(Limiter(Limits(requests_per_minute=600)), 0, 150, 0.01)
    assert 590 <= most_in(starts, 60) <= 630


def test_tokens_are_limited_whatever_their_number_in_an_attempt() -> None:
    limiter = Limiter(Limits(tokens_per_minute=6000))
    starts = run(limiter, 0, 59.9, 0.01, tokens=500)
    assert len(starts) == 12
    assert starts[1] - starts[0] == pytest.approx(5.0, abs=0.05)


def test_there_is_room_when_it_says_that_it_is_ready() -> None:
    limiter = Limiter(Limits(requests_per_minute=90))
    now = 0.0
    for _ in range(50):
        limiter.take(0, now)
        limiter.give_back()
        assert limiter.room(now) == 0
        ready = limiter.ready_at(now)
        assert limiter.room(ready - 0.01) == 0
        assert limiter.room(ready) == 1
        now = ready


def test_an_attempt_for_which_nobody_was_asked_leaves_its_place_to_another() -> None:
    limiter = Limiter(Limits(requests_per_minute=60, tokens_per_minute=600, concurrency=1))
    for _ in range(100):
        limiter.take(600, 0.0)
        assert limiter.room(0.0) == 0
        limiter.give_back_unused(600, 0.0)
        assert limiter.room(0.0) == 1
    limiter.give_back_unused(0, 5.0)  # and leaves no more than that one
    limiter.take(0, 5.0)
    assert limiter.room(5.5) == 0
    limiter.share = 0.0
    limiter.give_back_unused(0, 5.0)


def test_so_many_at_once_and_no_more() -> None:
    limiter = Limiter(Limits(concurrency=10), share=0.5)
    assert limiter.room(0) == 5
    limiter.take(0, 0)
    assert limiter.room(0) == 4
    limiter.give_back()
    assert limiter.room(0) == 5


def test_without_a_share_nothing_is_asked() -> None:
    limiter = Limiter(Limits(), share=0.0)
    assert limiter.room(0) == 0
    assert limiter.ready_at(0) == math.inf


def test_two_shares_together_are_one_limit_also_while_they_change() -> None:
    one, other = Limiter(Limits(requests_per_minute=1200)), Limiter(Limits(requests_per_minute=1200), share=0)
    starts = run(one, 0, 2, 0.005)
    one.share = 0.5
    starts += run(one, 2, 5, 0.005)
    other.share = 0.5
    starts += run(other, 2.5, 5, 0.005)
    assert most_in(sorted(starts), 1.0) <= 20 + 2
    assert most_in(sorted(starts), 3.0) <= 60 + 2


@pytest.mark.parametrize(
    ("limits", "tokens", "most"),
    [(Limits(requests_per_minute=1200), 0.0, 20.0), (Limits(tokens_per_minute=12_000), 10.0, 20.0)],
)
def test_a_worker_uses_its_share_of_a_rate_and_half_of_that_after_a_refusal(
    limits: Limits, tokens: float, most: float
) -> None:
    limiter = Limiter(limits, share=0.5)
    starts = run(limiter, 0, 10, 0.001, tokens)
    assert len(starts) / 10 == pytest.approx(most / 2, rel=0.05)
    limiter.refused(None, 10.0)
    limiter.take(tokens, 10.5)
    limiter.give_back()
    assert limiter.ready_at(10.5) == pytest.approx(10.5 + 4 / most, rel=0.01)
    starts = run(limiter, 11, 21, 0.001, tokens)
    assert len(starts) / 10 == pytest.approx(most / 4, rel=0.05)


def test_what_was_taken_stays_taken_when_a_limit_changes() -> None:
    limiter = Limiter(Limits(requests_per_minute=60))
    limiter.take(0, 0.0)
    limiter.give_back()
    limiter.limit(Limits(requests_per_minute=6000))
    assert limiter.room(0.9) <= 0
    assert len(run(limiter, 1, 11, 0.001)) == pytest.approx(1000, rel=0.05)
    limiter.limit(Limits())
    assert limiter.room(11.0) > 1000


def test_where_all_places_are_taken_only_the_end_of_an_attempt_makes_room() -> None:
    limiter = Limiter(Limits(concurrency=1, requests_per_minute=60))
    limiter.take(0, 0.0)
    assert limiter.ready_at(0.0) == math.inf
    limiter.give_back()
    assert limiter.ready_at(0.0) == pytest.approx(1.0)


def test_a_refusal_is_kept_for_as_long_as_it_said() -> None:
    limiter = Limiter(Limits(requests_per_minute=6000))
    limiter.refused(7.0, 100.0)
    assert limiter.room(106.9) == 0
    assert limiter.ready_at(101.0) == 107.0
    assert limiter.room(107.0) > 0


def test_refusals_halve_the_limit_once_a_second_and_answers_bring_it_back_slowly() -> None:
    limiter = Limiter(Limits(concurrency=64))
    for _ in range(50):
        limiter.refused(None, 10.0)
    assert limiter.room(10.0) == 32
    limiter.refused(None, 11.0)
    assert limiter.room(11.0) == 16
    for second in range(12, 112):
        for _ in range(10):
            limiter.answered(float(second))
        if second == 16:
            assert 16 < limiter.room(16.0) < 40
    assert limiter.room(112.0) == 64


def test_who_has_no_limit_gets_one_by_being_refused() -> None:
    limiter = Limiter(Limits())
    for _ in range(40):
        limiter.take(0, 0)
    for _ in range(40):
        limiter.give_back()
        limiter.refused(None, 5.0)
    assert 10 <= limiter.room(6.0) <= 20


def test_what_shows_only_after_a_minute_is_waited_for_before_the_limit_changes_again() -> None:
    limiter = Limiter(Limits(concurrency=64))
    for second in range(100, 160):
        limiter.refused(None, float(second), 60.0)
        limiter.answered(float(second))
    assert limiter.room(160.0) == 32
    for second in range(160, 170):
        limiter.answered(float(second))
    assert limiter.room(170.0) == 35
    limiter.refused(None, 170.0, 60.0)
    assert limiter.room(170.0) == 17
