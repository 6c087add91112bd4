"""How far two scorers agree is counted right."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.client.agreement import Pair, comparable, compare, correlation, lines, ranks, table


def test_numbers_are_correlated_and_the_largest_differences_come_first() -> None:
    pairs: list[Pair] = [("a", 1.0, 2.0), ("b", 2.0, 4.0), ("c", 3.0, 6.0), ("d", 4.0, 4.0)]
    found = compare(pairs, 2)
    assert found["calls"] == 4
    assert found["pearson"] == pytest.approx(0.6324555)
    assert found["spearman"] == pytest.approx(0.6324555)
    assert found["mean_difference"] == pytest.approx(-1.5)
    assert [item["call_id"] for item in found["disagreements"]] == ["c", "b"]
    assert found["confusion"] == []


def test_kinds_are_counted_and_chance_is_taken_off() -> None:
    both = ["good"] * 20 + ["bad"] * 15
    pairs: list[Pair] = [(str(n), kind, kind) for n, kind in enumerate(both)]
    pairs += [(f"x{n}", "good", "bad") for n in range(5)] + [(f"y{n}", "bad", "good") for n in range(10)]
    found = compare(pairs, 100)
    assert found["agreement"] == pytest.approx(0.7)
    assert found["kappa"] == pytest.approx(0.4)  # the example of Cohen's paper, as it is taught
    assert {(cell["one"], cell["other"]): cell["calls"] for cell in found["confusion"]} == {
        ("bad", "bad"): 15,
        ("bad", "good"): 10,
        ("good", "bad"): 5,
        ("good", "good"): 20,
    }
    assert len(found["disagreements"]) == 15


def test_passed_is_a_kind_unless_the_other_gives_numbers() -> None:
    assert "kappa" in compare([("a", True, False)], 1)
    assert "pearson" in compare([("a", True, 0.5), ("b", False, 0.1)], 1)
    assert compare([("a", True, True)], 1)["kappa"] is None
    assert compare([("a", 1.0, 1.0)], 1)["pearson"] is None


@pytest.mark.parametrize("passed_by", ["one", "other"])
def test_numbers_are_told_by_whether_the_calls_passed(passed_by: str) -> None:
    said = {"a": (True, 9.0), "b": (True, 8.0), "c": (True, 2.0), "d": (False, 1.0), "e": (False, 3.0), "f": (False, 7)}
    swapped = passed_by == "other"
    pairs: list[Pair] = [
        (call, number, passed) if swapped else (call, passed, number) for call, (passed, number) in said.items()
    ]
    found = compare(pairs, 10)
    assert found["passed_by"] == passed_by
    assert [(part["passed"], part["calls"]) for part in found["by_passed"]] == [(True, 3), (False, 3)]
    assert [part["mean"] for part in found["by_passed"]] == pytest.approx([19 / 3, 11 / 3])
    assert found["pearson"] == pytest.approx((19 / 3 - 11 / 3) / 2 / math.sqrt(58 / 6))  # point-biserial
    # Nearer to the mean of the others than to that of their own: c passed with 2, f did not with 7.
    assert [item["call_id"] for item in found["disagreements"]] == ["c", "f"]
    assert [item["call_id"] for item in compare(pairs, 1)["disagreements"]] == ["c"]
    names = ("lengthy", "refusal") if swapped else ("refusal", "lengthy")
    assert table(found, *names) == (
        ["PASSED refusal", "CALLS", "MEAN OF lengthy"],
        [["yes", "3", "6.33"], ["no", "3", "3.67"]],
    )
    assert lines(found)[1].endswith("(Spearman).")


def test_where_all_calls_passed_there_is_no_mean_of_others() -> None:
    found = compare([("a", True, 0.5), ("b", True, 0.1)], 10)
    assert table(found, "x", "y")[1] == [["yes", "2", "0.3"], ["no", "0", "-"]]
    assert (found["pearson"], found["disagreements"]) == (None, [])


def test_what_is_compared_of_a_score() -> None:
    assert comparable({"output": {"label": "good", "passed": True}}) == "good"
    assert comparable({"output": {"score": 0.5, "passed": True}}) == 0.5
    assert comparable({"output": {"passed": False}}) is False
    assert comparable({"output": 3}) == 3
    assert comparable({"output": {"value": None}}) is None


@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=2))
def test_correlations_are_within_bounds_and_symmetric(values: list[tuple[int, int]]) -> None:
    mine, yours = [float(a) for a, _ in values], [float(b) for _, b in values]
    for found in (correlation(mine, yours), correlation(ranks(mine), ranks(yours))):
        assert found is None or -1.0000001 <= found <= 1.0000001
    one, other = correlation(mine, yours), correlation(yours, mine)
    assert one is None if other is None else math.isclose(one or 0.0, other, abs_tol=1e-12)
