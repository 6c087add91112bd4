"""What an attempt tells of itself is kept only as far as it can be."""

from typing import Any

import pytest

from app.scorers import InvalidOutput, Report
from app.scorers.report import MAX_LINEAGE_BYTES
from app.spent import MOST_SPENT, Spent


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


def test_sums_that_no_row_has_room_for_stop_at_the_most_that_one_has() -> None:
    most = Spent(requests=1, input_tokens=MOST_SPENT, cost=MOST_SPENT)
    assert most + most == Spent(requests=2, input_tokens=MOST_SPENT, cost=MOST_SPENT)
