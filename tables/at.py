"""A type that all tables share: the position of a record."""

from typing import NamedTuple


class At(NamedTuple):
    """Where a record lies in its topic, and when it was appended (Unix seconds)."""

    partition: int
    offset: int
    logged_at: float
