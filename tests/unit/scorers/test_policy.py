"""How a scorer is run: by what was published, else by its code, else by the settings."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.scorers import BoundScorer, Policy

Bind = Callable[..., BoundScorer]


def test_a_policy_is_completed_by_the_next_one_and_keeps_what_it_says() -> None:
    published, code = Policy(attempts=5), Policy(attempts=2, timeout=9.0, provider="local")
    assert published.over(code) == Policy(attempts=5, timeout=9.0, provider="local")


def test_a_scorer_says_in_its_code_how_it_is_run(bind: Bind) -> None:
    assert bind("has_a_policy").policy == Policy(attempts=7, provider="local")
    assert bind("HasAPolicy", n=3).policy == Policy(timeout=2.5)
    assert bind("text_length").policy == Policy()


def test_a_policy_is_no_parameter_and_a_parameter_of_that_name_no_policy(bind: Bind) -> None:
    assert bind("HasAPolicy").params == {"n": 0}
    bound = bind("HasAParameterOfThatName", policy="lax")
    assert (bound.params, bound.policy) == ({"policy": "lax"}, Policy())


@given(st.integers(1, 10_000))
def test_a_pause_has_full_jitter_below_a_bound_that_doubles_up_to_the_longest(attempts: int) -> None:
    policy = Policy(backoff=0.5, longest_pause=60)
    pauses = [policy.pause(attempts) for _ in range(50)]
    most = min(60.0, 0.5 * 2 ** min(attempts - 1, 20))
    assert min(pauses) >= 0
    assert max(pauses) <= most
    assert max(pauses) > most / 2  # in 50 draws, but for one in 10**15
    assert min(pauses) < most / 2


@pytest.mark.parametrize(
    ("attempts", "seconds", "spent"),
    [(1, 0, False), (2, 99, False), (3, 0, True), (1, 100, True)],
)
def test_a_task_is_spent_with_its_attempts_or_its_budget(attempts: int, seconds: float, spent: bool) -> None:
    assert Policy(attempts=3, budget=100).exhausted(attempts, 1000.0, 1000.0 + seconds) == spent


@pytest.mark.parametrize("usd", [0, -1, 1e7, 1e300])
def test_a_cap_that_is_no_amount_of_money_is_refused(usd: float) -> None:
    with pytest.raises(ValidationError):
        Policy(usd_per_day=usd)
