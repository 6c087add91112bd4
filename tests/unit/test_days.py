"""The days of spend caps begin when settings say so, whatever the time of a moment."""

from datetime import UTC, datetime, time, timedelta

from hypothesis import given
from hypothesis import strategies as st

from app.days import DAY, day_of

STARTS = st.builds(time, st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))


@given(st.integers(DAY, 2**32), STARTS)
def test_a_moment_is_in_the_day_that_began_last(at: int, start: time) -> None:
    began = datetime.fromtimestamp(day_of(at + 0.5, start), UTC)
    assert began.time() == start
    assert began <= datetime.fromtimestamp(at, UTC) < began + timedelta(seconds=DAY)
    assert day_of(began.timestamp(), start) == began.timestamp()
