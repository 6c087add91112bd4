"""Which calls a rule means."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.rules import is_sampled, matches

CALL = {
    "op_name": "weave:///acme/flow/op/answer:abc",
    "attributes": {"env": "prod", "try": 1, "flags": {"beta": True}},
    "inputs": {"user": {"plan": None}},
}


@pytest.mark.parametrize(
    ("where", "matched"),
    [
        ({}, True),
        ({"op_name": "answer"}, True),
        ({"op_name": "weave:///acme/flow/op/answer:abc"}, True),
        ({"op_name": "weave:///acme/flow/op/answer:other"}, False),
        ({"op_name": ["summarize", "answer"]}, True),
        ({"attributes.env": "prod", "op_name": "summarize"}, False),
        ({"attributes.env": ["dev", "beta"]}, False),
        ({"attributes.flags.beta": True}, True),
        ({"attributes.flags.beta": 1}, False),
        ({"attributes.try": 1.0}, True),
        ({"attributes.try": True}, False),
        ({"inputs.user.plan": None}, True),
        ({"inputs.user.name.first": None}, True),  # as Weave has it: what is not there is null
        ({"inputs.user.plan": []}, False),
    ],
)
def test_a_call_is_meant_if_it_meets_every_condition(where: dict[str, Any], matched: bool) -> None:
    assert matches(where, CALL) is matched


@given(st.text(max_size=20), st.text(max_size=20), st.floats(0, 1), st.floats(0, 1))
def test_a_call_that_is_sampled_stays_so_at_any_higher_rate(rule: str, call: str, one: float, other: float) -> None:
    lower, higher = sorted((one, other))
    assert is_sampled(rule, call, lower) <= is_sampled(rule, call, higher)
    assert is_sampled(rule, call, 1.0)
    assert not is_sampled(rule, call, 0.0)


def test_a_sample_has_the_share_that_is_wanted_and_rules_sample_independently() -> None:
    calls = [f"call-{n}" for n in range(20_000)]
    one, other = ({call for call in calls if is_sampled(rule, call, 0.1)} for rule in ("one", "other"))
    assert 1_850 < len(one) < 2_150
    assert 150 < len(one & other) < 250
