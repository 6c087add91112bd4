"""What a scorer may return."""

import dataclasses
import datetime
import enum
import json
import math
import uuid
from collections import OrderedDict
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, RootModel

from app.scorers import InvalidOutput
from app.scorers.outputs import MAX_DEPTH, MAX_OUTPUT_BYTES, encode_output

_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXT
)
_JSON = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(_TEXT, inner, max_size=5), max_leaves=30
)
_NOT_FINITE = st.sampled_from([math.nan, math.inf, -math.inf])


class Verdict(BaseModel):
    passed: bool
    details: Any = None


@dataclasses.dataclass
class Score:
    score: float
    verdict: Verdict | None = None


class Pair(NamedTuple):
    one: Any
    other: Any


class Grade(enum.Enum):
    GOOD = "good"
    LOST = math.nan


@given(_JSON)
def test_every_json_value_round_trips(value: Any) -> None:
    assert json.loads(encode_output(value)) == value


@given(_JSON)
def test_a_model_and_a_dataclass_are_their_fields(value: Any) -> None:
    fields = {"passed": True, "details": value}
    assert json.loads(encode_output(Verdict(passed=True, details=value))) == fields
    nested = encode_output([Score(0.5, Verdict(passed=True, details=value))])
    assert json.loads(nested) == [{"score": 0.5, "verdict": fields}]


@given(_JSON, _NOT_FINITE, st.sampled_from(["plain", "model", "dataclass", "tuple"]))
def test_a_number_that_is_not_finite_is_never_written_as_null(value: Any, number: float, shape: str) -> None:
    bad: Any = {"a": [value, number]}
    match shape:
        case "model":
            bad = Verdict(passed=True, details=bad)
        case "dataclass":
            bad = Score(number)
        case "tuple":
            bad = (None, {"x": (number,)})
    with pytest.raises(InvalidOutput, match=r"is (nan|-?inf), which JSON has no number for"):
        encode_output(bad)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"a": [{1, 2}]}, r"\$\.a\[0\] is a builtins\.set"),
        (iter(()), r"\$ is a builtins\.tuple_iterator"),
        ({"a": "\ud800"}, r"\$\.a has a lone surrogate"),
        ({"\udfff": 1}, "has a lone surrogate"),
        ({"a": {1: 2}}, r"\$\.a has the key 1, but keys in JSON are strings"),
        ({"when": datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)}, r"\$\.when is a datetime\.datetime"),
        (Grade.LOST, r"\$ is nan"),
        (b"bytes", r"\$ is a builtins\.bytes"),
        (Verdict, "is not JSON"),
        pytest.param(2**64, "more than 64 bits", id="huge"),
        pytest.param({"n": -(2**63) - 1}, "more than 64 bits", id="low"),
    ],
)
def test_what_is_not_json_is_refused_with_its_place(value: Any, reason: str) -> None:
    with pytest.raises(InvalidOutput, match=reason):
        encode_output(value)


def test_a_value_that_contains_itself_is_refused() -> None:
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(InvalidOutput, match="contains itself"):
        encode_output(circle)


def test_a_value_that_contains_another_many_times_over_is_refused_at_once() -> None:
    value: Any = Pair(True, None)
    for _ in range(MAX_DEPTH - 10):
        value = [value, value]
    with pytest.raises(InvalidOutput, match="more than the 262,144 bytes"):
        encode_output(value)


@pytest.mark.parametrize("leaf", [1, None, 2**63])
def test_nesting_has_one_limit_whatever_the_leaf(leaf: Any) -> None:
    deep = leaf
    for _ in range(MAX_DEPTH):
        deep = [deep]
    assert encode_output(deep)
    with pytest.raises(InvalidOutput, match="levels deep"):
        encode_output([deep])


@pytest.mark.parametrize("filler", ["x", "é", None, 2**63])
def test_an_output_over_256_kib_is_refused(filler: Any) -> None:
    with pytest.raises(InvalidOutput, match="more than the 262,144 bytes"):
        encode_output([filler] * MAX_OUTPUT_BYTES)


def test_an_output_of_256_kib_is_kept() -> None:
    text = "x" * (MAX_OUTPUT_BYTES - 2)
    assert len(encode_output(text)) == MAX_OUTPUT_BYTES
    with pytest.raises(InvalidOutput):
        encode_output(text + "x")


def test_common_python_values_are_written_as_json_has_them() -> None:
    name = uuid.UUID(int=0)
    for extra in (None, 0):  # with and without the slow path
        value = [extra, Grade.GOOD, name, (1, 2), OrderedDict(a=1), RootModel[list[int]]([3])]
        assert json.loads(encode_output(value)) == [extra, "good", str(name), [1, 2], {"a": 1}, [3]]
