"""How far two scorers agree is counted right."""

import json
import math
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.client.agreement import Pair, Readings, compare, correlation, lines, paired, ranks, readings, tables

from .command import Command
from .fake_service import FakeService, score

ONE, OTHER = "callscore:///scorer/one:1", "callscore:///scorer/other:1"


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


def test_of_calls_on_which_a_number_says_otherwise_the_one_farthest_from_its_own_comes_first() -> None:
    said = [
        ("a", False, 0.7),
        ("b", False, 0.1),
        ("c", False, 0.9),
        ("d", False, 0.1),
        ("e", True, 0.6),
        ("f", True, 0.6),
    ]
    pairs: list[Pair] = [(call, passed, number) for call, passed, number in said]
    assert [item["call_id"] for item in compare(pairs, 10)["disagreements"]] == ["c", "a"]


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
    assert tables(found, *names) == [
        (["PASSED refusal", "CALLS", "MEAN OF lengthy"], [["yes", "3", "6.33"], ["no", "3", "3.67"]])
    ]
    assert lines(found)[1].endswith("(Spearman).")
    first, second = ("numbers", "whether calls passed")[:: 1 if swapped else -1]
    assert lines(found)[0] == f"6 calls were scored by both; compared: {first} of the first with {second} of the other."


def test_where_all_calls_passed_there_is_no_mean_of_others() -> None:
    found = compare([("a", True, 0.5), ("b", True, 0.1)], 10)
    assert tables(found, "x", "y")[0][1] == [["yes", "2", "0.3"], ["no", "0", "-"]]
    assert (found["pearson"], found["disagreements"]) == (None, [])


def test_what_a_score_can_be_compared_by() -> None:
    assert readings({"output": {"label": "good", "passed": True}}) == {"label": "good", "passed": True}
    assert readings({"output": {"score": 0.5, "passed": True}}) == {"number": 0.5, "passed": True}
    assert readings({"output": False}) == {"passed": False}
    assert readings({"output": 3}) == {"number": 3}
    assert readings({"output": "good"}) == {"label": "good"}
    assert readings({"output": {"value": None}}) == {}


LABELLED: dict[str, Readings] = {"a": {"label": "good", "passed": True}, "b": {"label": "bad", "passed": False}}
PASSED: dict[str, Readings] = {"a": {"passed": True}, "b": {"passed": False}}
NUMBERED: dict[str, Readings] = {"a": {"number": 1}, "b": {"number": 0.5}}
BOTH: dict[str, Readings] = {call: {**said, **PASSED[call]} for call, said in NUMBERED.items()}
OTHERWISE: dict[str, Readings] = {"a": {"label": "yes", "passed": True}, "b": {"label": "no", "passed": False}}


@pytest.mark.parametrize(
    ("mine", "yours", "compared"),
    [
        (LABELLED, LABELLED, ("label", "label")),
        (LABELLED, PASSED, ("passed", "passed")),
        (PASSED, LABELLED, ("passed", "passed")),
        (LABELLED, BOTH, ("passed", "passed")),
        (LABELLED, NUMBERED, ("passed", "number")),
        (BOTH, BOTH, ("number", "number")),
        (BOTH, PASSED, ("passed", "passed")),
        (NUMBERED, PASSED, ("number", "passed")),
        (LABELLED, OTHERWISE, ("passed", "passed")),  # no label of one is one of the other
        (LABELLED, {**LABELLED, "b": {"passed": False}}, ("passed", "passed")),  # more calls have it
    ],
)
def test_like_is_compared_with_like(
    mine: dict[str, Readings], yours: dict[str, Readings], compared: tuple[str, str]
) -> None:
    pairs = paired(mine, yours)
    assert pairs == [(call, mine[call][compared[0]], yours[call][compared[1]]) for call in mine]
    assert tuple(compare(pairs, 1)["compared"].values()) == compared


def test_a_label_has_nothing_in_common_with_a_number_or_with_whether_a_call_passed() -> None:
    labels: dict[str, Readings] = {call: {"label": said["label"]} for call, said in LABELLED.items()}
    assert paired(labels, NUMBERED) == paired(labels, PASSED) == paired(PASSED, labels) == []
    assert len(paired(labels, OTHERWISE)) == 2  # for want of anything else


async def test_a_judge_of_labels_that_says_what_passes_agrees_with_one_who_says_what_passed(
    callscore: Command, service: FakeService
) -> None:
    service.scores_by = {
        ONE: [score(call, output={**said, "reason": "so"}) for call, said in LABELLED.items()],
        OTHER: [score(call, output=said) for call, said in PASSED.items()],
    }
    ended = await callscore("scorers", "compare", ONE, OTHER, "--project", "a/b")
    assert (ended.code, ended.out.splitlines()[:2]) == (
        0,
        [
            "2 calls were scored by both; compared: whether calls passed.",
            "They agree on 100.0% of the calls; kappa 1.000.",
        ],
    )


async def test_free_text_is_compared_at_once_without_a_table_of_its_kinds(
    callscore: Command, service: FakeService
) -> None:
    texts = [score(f"c{place}", output=f"text {place}") for place in range(10_000)]
    service.scores_by = {ONE: texts, OTHER: [*texts[1:], score("c0", output="text 1")]}
    ended = await callscore("scorers", "compare", ONE, OTHER, "--project", "a/b")
    assert ended.out.splitlines()[1:3] == [
        "They agree on 100.0% of the calls; kappa 1.000.",
        "They gave 10,000 different labels, too many for a table. Use --json for the counts.",
    ]
    assert ended.out.splitlines()[4:] == [f'c0    "text 0"{" " * (len(ONE) - 6)}"text 1"']
    listed = json.loads((await callscore("scorers", "compare", ONE, OTHER, "--project", "a/b", "--json")).out)
    assert len(listed["confusion"]) == 10_000


async def test_what_cannot_be_compared_is_refused_and_says_why(callscore: Command, service: FakeService) -> None:
    asked = ("scorers", "compare", ONE, OTHER, "--project", "a/b")
    service.scores_by = {ONE: [score("c1", output="good")], OTHER: [score("c1", output=True)]}
    ended = await callscore(*asked)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == (
        "Their scores cannot be compared: one gives labels, the other whether calls passed. "
        "Labels can be compared only with labels, and numbers only with numbers or whether calls passed.\n"
    )
    service.scores_by = {ONE: [score("c1", output=True)], OTHER: [score("c2", output=True)]}
    assert "No call of a/b has comparable scores by both." in (await callscore(*asked)).err
    service.scores_by[OTHER] = [score("c1", output={"text": "neither label nor number"})]
    ended = await callscore(*asked)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith(f"No call of a/b has a score by {OTHER} with a label, a number or `passed`. ")
    assert ended.err.endswith(f"callscore submit --project a/b --scorer {OTHER}\n")


@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=2))
def test_correlations_are_within_bounds_and_symmetric(values: list[tuple[int, int]]) -> None:
    mine, yours = [float(a) for a, _ in values], [float(b) for _, b in values]
    for found in (correlation(mine, yours), correlation(ranks(mine), ranks(yours))):
        assert found is None or -1.0000001 <= found <= 1.0000001
    one, other = correlation(mine, yours), correlation(yours, mine)
    assert one is None if other is None else math.isclose(one or 0.0, other, abs_tol=1e-12)


anything = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(st.tuples(anything, anything), min_size=1))
@example([(0.1, 0.3)] * 6)
@example([(1e200, 1.0), (1e300, 2.0), (-sys.float_info.max, 0.0), (sys.float_info.max, 0.5)])
def test_numbers_of_any_size_are_compared_and_one_that_is_always_the_same_tells_nothing(
    values: list[tuple[float, float]],
) -> None:
    found = compare([(str(place), *both) for place, both in enumerate(values)], 1)
    same = any(len({both[side] for both in values}) == 1 for side in (0, 1))
    for name in ("pearson", "spearman"):
        assert found[name] is None if same else -1.0000001 <= found[name] <= 1.0000001
    compare([(str(place), place % 2 == 0, number) for place, (number, _) in enumerate(values)], 1)


async def test_labels_of_a_judge_cannot_steer_the_terminal(callscore: Command, service: FakeService) -> None:
    label = "\x1b[2J\x9b\n\u202ebad"
    service.scores_by = {ref: [score("c1", output=label)] for ref in (ONE, OTHER)}
    ended = await callscore("scorers", "compare", ONE, OTHER, "--project", "a/b")
    assert (ended.code, ended.out.count("\n")) == (0, 4)
    assert ended.out.count("\\x1b[2J\\x9b\\n\\u202ebad") == 2
    assert not set(ended.out) & set(label) - set("bad[2J\n")
