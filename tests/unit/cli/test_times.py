"""What may be typed for a time."""

from datetime import UTC, datetime, timedelta, timezone

import click
import pytest

from app.commands.types import Time


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("2026-11-01T12:00:00Z", datetime(2026, 11, 1, 12, tzinfo=UTC)),
        ("2026-11-01T12:00:00.5+02:00", datetime(2026, 11, 1, 12, 0, 0, 500_000, timezone(timedelta(hours=2)))),
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
    ],
)
def test_a_time_may_be_typed_as_a_date_for_its_midnight_in_utc(typed: str, meant: datetime) -> None:
    assert Time().convert(typed, None, None) == meant


@pytest.mark.parametrize(
    ("typed", "ago"),
    [
        ("90s", timedelta(seconds=90)),
        ("30m", timedelta(minutes=30)),
        ("2h", timedelta(hours=2)),
        ("7d", timedelta(days=7)),
        ("2w", timedelta(days=14)),
    ],
)
def test_a_time_may_be_typed_as_how_long_ago_it_was(typed: str, ago: timedelta) -> None:
    before = datetime.now(UTC)
    assert before <= Time().convert(typed, None, None) + ago <= datetime.now(UTC)


@pytest.mark.parametrize(
    "typed", ["", "yesterday", "2026-11-01T12:00:00", "2026-11-31", "h", "-2h", "2 h", "99999999999d", "9" * 400 + "w"]
)
def test_what_is_no_time_is_refused_with_what_may_be_typed(typed: str) -> None:
    with pytest.raises(click.BadParameter, match="not a time with a zone, a date or a duration"):
        Time().convert(typed, None, None)
