"""How large a JSON value is, without encoding it."""

from collections.abc import Iterable
from typing import Any

_SCALAR = 8


def is_at_most(values: Iterable[Any], limit: int) -> bool:
    """Whether the values' texts, keys and scalars come to at most `limit` characters. Stops counting beyond that."""
    left = limit
    pending = list(values)
    while pending:
        value = pending.pop()
        if isinstance(value, str):
            left -= len(value)
        elif isinstance(value, dict):
            left -= _SCALAR
            pending.extend(value)
            pending.extend(value.values())
        elif isinstance(value, list | tuple):
            left -= _SCALAR
            pending.extend(value)
        else:
            left -= _SCALAR
        if left < 0 or len(pending) > limit:
            return False
    return True
