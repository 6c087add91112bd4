"""Answers are JSON, whatever was stored."""

import json
from typing import Any

import pytest

from app.web.responses import encode


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ({"a": float("nan"), "b": [float("inf")]}, {"a": None, "b": [None]}),
        ({"a": 10**30, "b": "\ud83d"}, {"a": 10**30, "b": "\ud83d"}),
        ([{"a": float("nan")}, {"b": [10**30, float("-inf")]}], [{"a": None}, {"b": [10**30, None]}]),
    ],
)
def test_what_json_cannot_hold_is_null_and_the_rest_stays_what_it_is(value: Any, read: Any) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    assert json.loads(encode(value), parse_constant=refuse) == read
