"""Where a record is."""

from typing import NamedTuple


class At(NamedTuple):
    """Where a record lies in its topic, and when it was appended to it (Unix seconds)."""

    partition: int
    offset: int
    logged_at: float
