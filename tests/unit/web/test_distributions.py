"""Distributions say what the values are."""

import statistics
import sys
from array import array
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.web.distributions import MAX_DISTINCT, TOP, StringBudget, Summary, describe_numbers, leaves

numbers = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=60)


@given(numbers)
def test_every_number_is_in_one_bin_and_percentiles_lie_in_order(values: list[float]) -> None:
    described = describe_numbers(array("d", values))
    edges, counts = described["histogram"]["edges"], described["histogram"]["counts"]
    assert sum(counts) == len(values)
    assert len(edges) == len(counts) + 1
    assert edges == sorted(edges)
    assert (edges[0], edges[-1]) == (min(values), max(values))
    assert described["p5"] <= described["p50"] <= described["p95"]


@given(st.one_of(numbers, st.lists(st.integers(-50, 50).map(lambda tenths: tenths / 10), min_size=1, max_size=60)))
def test_a_bin_counts_the_numbers_between_its_edges(values: list[float]) -> None:
    histogram = describe_numbers(array("d", values))["histogram"]
    *bins, (low, high) = pairwise(histogram["edges"])
    between = [sum(below <= value < above for value in values) for below, above in bins]
    assert histogram["counts"] == [*between, sum(low <= value <= high for value in values)]


@pytest.mark.parametrize("first", [0, 10, 30])
def test_a_number_of_one_decimal_is_in_the_bin_that_begins_with_it(first: int) -> None:
    tenths = [number / 10 for number in range(first, first + 11)]
    histogram = describe_numbers(array("d", tenths))["histogram"]
    assert (histogram["edges"], histogram["counts"]) == (tenths, [1] * 9 + [2])


@given(st.lists(st.integers(-1000, 1000), min_size=2, max_size=60))
def test_mean_and_percentiles_are_those_of_the_statistics_module(values: list[int]) -> None:
    described = describe_numbers(array("d", values))
    cuts = statistics.quantiles(values, n=20, method="inclusive")
    assert described["mean"] == pytest.approx(statistics.fmean(values))
    assert described["p5"] == pytest.approx(cuts[0])
    assert described["p50"] == pytest.approx(statistics.median(values))
    assert described["p95"] == pytest.approx(cuts[-1])


def test_long_texts_that_begin_alike_are_counted_apart() -> None:
    summary = Summary(StringBudget())
    for end in ("a", "b", "b"):
        summary.add(True, "x" * 300 + end)
    described = summary.paths[""].describe(None)
    assert [top["n"] for top in described["top"]] == [2, 1]
    assert described["complete"] is True
    assert all(len(top["value"]) < 240 for top in described["top"])


def test_the_largest_numbers_have_a_mean() -> None:
    largest = sys.float_info.max
    assert describe_numbers(array("d", [largest] * 7))["mean"] == pytest.approx(largest)


def test_a_histogram_has_ten_equally_wide_bins() -> None:
    histogram = describe_numbers(array("d", range(101)))["histogram"]
    assert histogram["edges"] == pytest.approx([0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100])
    assert histogram["counts"] == [10] * 9 + [11]


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (3, {"": 3}),
        (True, {"": True}),
        ({"passed": True, "detail": {"score": 0.5}}, {"passed": True, "detail.score": 0.5}),
        ({"found": ["a", "b"]}, {"found[]": 2}),
        ([1, 2, 3], {"[]": 3}),
        ({}, {}),
        (None, {"": None}),
    ],
)
def test_leaves_have_dotted_paths_and_lists_count_by_length(output: Any, expected: dict[str, Any]) -> None:
    assert dict(leaves(output)) == expected


def described(outputs: list[Any]) -> dict[str, Any]:
    summary = Summary(StringBudget())
    for output in outputs:
        summary.add(True, output)
    distribution = summary.paths[""]
    return distribution.describe(describe_numbers(distribution.numbers) if distribution.numbers else None)


def test_booleans_are_no_numbers() -> None:
    assert described([True, False, True, True]) == {"type": "boolean", "n": 4, "true": 0.75}


def test_strings_show_the_twenty_most_frequent() -> None:
    shown = described([f"word {n}" for n in range(30) for _ in range(n + 1)])
    assert shown["n"] == sum(range(31))
    assert shown["top"][0] == {"value": "word 29", "n": 30}
    assert len(shown["top"]) == TOP


def test_a_path_with_values_of_several_types_shows_the_most_frequent_and_counts_the_others() -> None:
    shown = described([1, 2, "x", None, None, None])
    assert (shown["type"], shown["n"], shown["other"]) == ("number", 2, {"string": 1, "null": 3})
    assert described([None]) == {"type": "null", "n": 1}


def test_a_failure_is_never_a_value() -> None:
    summary = Summary(StringBudget())
    summary.add(True, {"score": 1})
    summary.add(False, "scorer_timeout")
    summary.add(False, "scorer_timeout")
    assert (summary.succeeded, dict(summary.failures)) == (1, {"scorer_timeout": 2})
    assert list(summary.paths) == ["score"]
    assert len(summary.paths["score"].numbers) == 1


def test_outputs_with_ever_new_paths_do_not_fill_the_memory() -> None:
    summary = Summary(StringBudget())
    for number in range(1000):
        summary.add(True, {f"key {number}": 1})
    assert len(summary.paths) == 200
    assert summary.paths_left_out


def test_distinct_strings_do_not_fill_the_memory_however_many_groups_there_are() -> None:
    budget = StringBudget()
    groups = [Summary(budget) for _ in range(900)]
    for number in range(100):
        for group, summary in enumerate(groups):
            summary.add(True, {"label": "good" if number % 2 else "bad", "reason": f"{group}, {number}"})
    assert sum(len(found.strings) for summary in groups for found in summary.paths.values()) <= MAX_DISTINCT
    reasons = [summary.paths["reason"].describe(None) for summary in groups]
    assert {(said["n"], said["complete"]) for said in reasons} == {(100, False)}


def test_where_all_reasons_differ_labels_are_counted_also_in_groups_that_come_late() -> None:
    budget = StringBudget()
    for group in range(200):
        summary = Summary(budget)
        for number in range(400):
            summary.add(True, {"reason": f"{group}, {number}", "label": "good"})
        label, reason = (summary.paths[path].describe(None) for path in ("label", "reason"))
        assert label == {"type": "string", "n": 400, "top": [{"value": "good", "n": 400}], "complete": True}
        assert len(reason["top"]) == TOP
