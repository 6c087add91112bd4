"""Weave's query expressions filter as they say, and none that is not known is passed over."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.web.weave.expressions import BadExpression, Several, at_path, compiled, fields, wanted

CALL: dict[str, Any] = {
    "op_name": "ask",
    "inputs": {"question": "Where is it?", "n": 3, "tags": ["a", "b"]},
    "error": None,
    "started_at": "2026-01-05T12:00:00.500000Z",
}
STARTED = 1767614400.5


def literal(value: Any) -> dict[str, Any]:
    return {"$literal": value}


def get(path: str) -> dict[str, Any]:
    return {"$getField": path}


def true_of_call(expression: Any) -> bool:
    return bool(compiled(expression)(lambda path: at_path(CALL, path)))


@pytest.mark.parametrize(
    "expression",
    [
        {"$eq": [get("op_name"), literal("ask")]},
        {"$eq": [get("error"), literal(None)]},
        {"$eq": [get("inputs.tags.1"), literal("b")]},
        {"$gt": [get("inputs.n"), literal(2)]},
        {"$gte": [get("inputs.n"), literal(3)]},
        {"$lt": [literal(2), get("inputs.n")]},
        {"$lte": [get("inputs.n"), literal(3)]},
        {"$and": [{"$eq": [get("op_name"), literal("ask")]}, {"$gt": [get("inputs.n"), literal(1)]}]},
        {"$or": [{"$eq": [get("op_name"), literal("no")]}, {"$gt": [get("inputs.n"), literal(1)]}]},
        {"$not": [{"$eq": [get("op_name"), literal("no")]}]},
        {"$in": [get("op_name"), [literal("no"), literal("ask")]]},
        {"$contains": {"input": get("inputs.question"), "substr": literal("where"), "case_insensitive": True}},
        {"$contains": {"input": get("inputs.question"), "substr": literal("is it")}},
        {"$eq": [{"$convert": {"input": get("inputs.n"), "to": "string"}}, literal("3")]},
        {"$convert": {"input": get("inputs.question"), "to": "exists"}},
        {"$eq": [get("started_at"), literal(STARTED)]},
        {"$gt": [get("started_at"), literal(1767614400)]},
        {"$gt": [literal(1767614401), get("started_at")]},
        {"$gte": [get("started_at"), literal("2026-01-05")]},
        {"$eq": [get("started_at"), literal("2026-01-05T13:00:00.5+01:00")]},
        {"$lt": [get("started_at"), literal("2026-01-05 12:00:01")]},
    ],
)
def test_an_expression_that_is_true_holds_and_its_negation_does_not(expression: Any) -> None:
    assert true_of_call(expression)
    assert not true_of_call({"$not": [expression]})


@pytest.mark.parametrize(
    "expression",
    [
        {"$eq": [get("inputs.n"), literal(True)]},
        {"$eq": [get("inputs.missing"), literal("")]},
        {"$gt": [get("inputs.question"), literal(2)]},
        {"$gt": [get("inputs.missing"), literal(2)]},
        {"$gt": [get("ended_at"), literal(2)]},
        {"$lt": [get("started_at"), literal("soon")]},
        {"$contains": {"input": get("inputs.question"), "substr": literal("where")}},
        {"$contains": {"input": get("inputs.n"), "substr": literal("3")}},
        {"$convert": {"input": get("inputs.missing"), "to": "exists"}},
        {"$eq": [{"$convert": {"input": get("op_name"), "to": "double"}}, literal(0.0)]},
    ],
)
def test_what_is_of_another_kind_or_missing_is_not_equal_and_not_above(expression: Any) -> None:
    assert not true_of_call(expression)


@pytest.mark.parametrize(
    "expression",
    [
        {"$regex": [get("op_name"), literal("a")]},
        {"$eq": [get("op_name")]},
        {"$eq": "op_name"},
        {"$and": {"$eq": []}},
        {"$getField": 3},
        {"$contains": [1, 2]},
        {"$convert": {"input": literal(1), "to": "date"}},
        {"$convert": {"input": literal(1), "to": []}},
        {"$and": [{"$eq": [literal(1), literal(2)]}, {"$regex": [1]}]},
        {"$or": [{"$eq": [literal(1), literal(1)]}, {"$regex": [1]}]},
        {"$eq": [1, 2]},
        {"$eq": [literal(1), literal(1)], "$gt": []},
        {},
        [],
        None,
        "op_name",
    ],
)
def test_what_is_no_expression_is_refused(expression: Any) -> None:
    with pytest.raises(BadExpression):
        true_of_call(expression)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)
operators = st.sampled_from(
    ["$eq", "$gt", "$and", "$or", "$not", "$in", "$contains", "$convert", "$getField", "$literal"]
)


@given(
    st.recursive(json_values, lambda inner: st.dictionaries(operators, inner | st.lists(inner), min_size=1, max_size=1))
)
def test_whatever_is_sent_holds_or_not_or_is_refused(expression: Any) -> None:
    with suppress(BadExpression):  # and nothing else is raised
        assert true_of_call(expression) in (True, False)


def test_what_a_field_must_be_is_found_where_it_is_plain_to_see() -> None:
    plain = {"$eq": [get("weave_ref"), literal("r")]}
    assert wanted(plain, "weave_ref") == "r"
    assert wanted({"$eq": [literal("r"), get("weave_ref")]}, "weave_ref") == "r"
    assert wanted({"$and": [{"$eq": [get("id"), literal("i")]}, plain]}, "weave_ref") == "r"
    others: list[Any] = [{"$or": [plain, plain]}, {"$not": [plain]}, {"$eq": [get("id"), literal("r")]}, None, []]
    for not_plain in others:
        assert wanted(not_plain, "weave_ref") is None


def test_fields_that_are_asked_for_are_seen_however_deep_they_are() -> None:
    asked = {"$and": [{"$not": [{"$eq": [get("feedback.[wandb.note.1].payload"), literal("")]}]}, get("id")]}
    assert list(fields(asked)) == ["feedback.[wandb.note.1].payload", "id"]
    assert list(fields({"$eq": [get("op_name"), literal("feedback.[")]})) == ["op_name"]


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ({"$eq": [get("x"), literal(3)]}, True),
        ({"$eq": [get("x"), literal(2)]}, False),
        ({"$gt": [get("x"), literal(2)]}, True),
        ({"$lt": [literal(3), get("x")]}, False),
        ({"$in": [get("x"), [literal(7), literal(3)]]}, True),
        ({"$in": [literal("four"), [get("x")]]}, True),
        ({"$contains": {"input": get("x"), "substr": literal("ou")}}, True),
        ({"$eq": [{"$convert": {"input": get("x"), "to": "string"}}, literal("3")]}, True),
        ({"$and": [get("x")]}, True),
    ],
)
def test_of_several_values_one_that_a_comparison_holds_of_is_enough(expression: Any, holds: bool) -> None:
    found = compiled(expression)(lambda path: Several([0, 3, "four"]))
    assert bool(found) == holds
    assert bool(compiled({"$not": [expression]})(lambda path: Several([0, 3, "four"]))) != holds


def test_what_is_no_expression_is_refused_before_any_field_is_asked_for() -> None:
    deep: Any = literal(1)
    for _ in range(60):
        deep = {"$not": [deep]}
    with pytest.raises(BadExpression, match="levels deep"):
        compiled(deep)


@pytest.mark.parametrize(
    "expression",
    [
        {"$or": [{"$eq": [get("id"), literal("x")]}] * 15_000},
        {"$in": [get("id"), [get("id")] * 30_000]},
        {"$in": [get("id"), [literal(["x"])] * 30_000]},
        {"$and": [{"$contains": {"input": get("output"), "substr": literal("x")}}] * 120},
        {"$eq": [{"$convert": {"input": literal("1" * 30_000_000), "to": "int"}}, literal(1)]},
        {"$eq": [get("inputs." + "a." * 15_000_000), literal(1)]},
        {"$eq": [get("inputs"), literal([0] * 1_000_000)]},
        {"$eq": [{"$convert": {"input": literal([[]] * 3_000_000), "to": "string"}}, literal("x")]},
    ],
)
def test_an_expression_that_would_hold_up_all_others_is_refused(expression: Any) -> None:
    with pytest.raises(BadExpression, match="too long"):
        compiled(expression)


def test_what_the_sdk_and_the_commands_send_is_not_too_long() -> None:
    ids = [f"{number:036}" for number in range(10_000)]
    assert not true_of_call({"$or": [{"$eq": [get("id"), literal(one)]} for one in ids]})
    assert not true_of_call({"$in": [get("id"), [literal(one) for one in ids]]})


def test_an_index_of_thousands_of_digits_names_nothing() -> None:
    assert at_path([1, 2], "9" * 5_000) is None


@given(json_values, st.lists(json_values))
def test_a_value_is_in_a_list_if_it_equals_one_of_it(value: Any, choices: list[Any]) -> None:
    one_by_one = any(true_of_call({"$eq": [literal(value), literal(choice)]}) for choice in choices)
    assert true_of_call({"$in": [literal(value), [literal(choice) for choice in choices]]}) == one_by_one
