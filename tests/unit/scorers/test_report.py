"""What an attempt tells of itself is kept only as far as it can be."""

from typing import Any

import msgspec
import pytest

from app.scorers import InvalidOutput, NoJudgement, Report
from app.scorers.report import EMPTY, MAX_LINEAGE_BYTES, portable_end
from app.usage import MOST_USED, Usage


@pytest.mark.parametrize("tokens", [-1, 12.5, True, "7", 10**9])
def test_what_is_no_number_of_tokens_is_refused_and_counted_nowhere(tokens: Any) -> None:
    report = Report()
    with pytest.raises(ValueError, match="numbers of tokens"):
        report.asked(1, tokens, None)
    assert report == Report()


@pytest.mark.parametrize("price", [-1.0, float("nan"), float("inf")])
def test_what_is_no_price_is_refused(price: float) -> None:
    with pytest.raises(ValueError, match="two prices"):
        Report().asked(1, 1, (0.1, price))


@pytest.mark.parametrize("value", [object(), "\ud800", "x" * MAX_LINEAGE_BYTES, float("nan")])
def test_lineage_that_cannot_be_kept_is_refused(value: Any) -> None:
    report = Report()
    report.made_with(model="m")
    with pytest.raises(InvalidOutput, match="made with"):
        report.made_with(prompt=value)
    assert report.lineage == {"model": "m"}


def test_lineage_may_be_replaced_often_and_fill_all_that_is_kept() -> None:
    report = Report()
    whole = "x" * (MAX_LINEAGE_BYTES - len('{"prompt":""}'))
    for _ in range(3):
        report.made_with(prompt=whole)
    assert report.snapshot()[0] == b'{"prompt":"%s"}' % whole.encode()
    with pytest.raises(InvalidOutput, match="more than"):
        report.made_with(prompt=whole + "x")


async def test_requests_are_under_way_from_when_they_may_be_sent_until_they_are_answered_or_refused() -> None:
    report = Report()
    under_way: list[int] = []

    async def allow() -> None:
        under_way.append(report.unanswered)

    report.before_request = allow
    for _ in range(3):
        await report.asking()
    assert under_way == [0, 1, 2]
    report.cost_nothing()
    report.asked(1, 1, (0.0, 0.0))
    assert (report.requests, report.unanswered) == (1, 1)
    report.asked(1, 1, (0.0, 0.0))
    report.asked(1, 1, (0.0, 0.0))  # one that was never announced
    report.cost_nothing()
    assert (report.requests, report.unanswered) == (3, 0)


def deep(levels: int) -> Any:
    return [deep(levels - 1)] if levels else 1


@pytest.mark.parametrize(
    "value", [object(), msgspec.Raw(b"oops"), 2**70, deep(150), float("nan"), {1: 2}, "x" * MAX_LINEAGE_BYTES], ids=type
)
def test_a_lineage_that_was_spoilt_fails_the_attempt_and_what_it_took_still_counts(value: Any) -> None:
    report = Report()
    report.asked(3, 4, (1.0, 1.0))
    report.lineage["odd"] = value
    outcome, snapshot = portable_end(b"1", report)
    assert isinstance(outcome, NoJudgement)
    assert outcome.type == "invalid_report"
    taken = Report()
    taken.update(snapshot)
    assert Usage.of(taken) == Usage(requests=1, input_tokens=3, output_tokens=4, cost=7_000_000)


@pytest.mark.parametrize("amount", [float("inf"), -1, "many", None])
def test_amounts_that_were_spoilt_fail_the_attempt(amount: Any) -> None:
    report = Report(cost=amount)
    outcome, snapshot = portable_end(b"1", report)
    assert isinstance(outcome, NoJudgement)
    assert (outcome.type, snapshot) == ("invalid_report", EMPTY)


def test_what_can_be_sent_is_taken_over_as_it_was() -> None:
    report, taken = Report(), Report()
    report.made_with(model="m", parameters={"seed": 2**63})
    report.asked(3, None, None)
    outcome, snapshot = portable_end(b"1", report)
    taken.update(snapshot)
    assert (outcome, taken.lineage, Usage.of(taken)) == (b"1", report.lineage, Usage.of(report))


def test_what_is_free_costs_nothing_however_many_tokens_it_took() -> None:
    report = Report()
    report.asked(None, None, (0.0, 0.0))
    assert Usage.of(report) == Usage(requests=1)
    report.asked(3, None, (1.0, 0.0))
    assert Usage.of(report) == Usage(requests=2, input_tokens=3, unpriced=1)


def test_sums_that_no_row_has_room_for_stop_at_the_most_that_one_has() -> None:
    most = Usage(requests=1, input_tokens=MOST_USED, cost=MOST_USED)
    assert most + most == Usage(requests=2, input_tokens=MOST_USED, cost=MOST_USED)
