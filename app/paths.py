"""Dotted paths into JSON values, such as `attributes.gold.0`: one rule, wherever users write one."""

from collections.abc import Mapping
from typing import Any, Final

ABSENT: Final = object()
_LONGEST_INDEX = 9  # digits


def at(value: Any, path: str) -> Any:
    """The value at a path, ABSENT if there is none.

    A step is a key of an object or an index of a list. A key that is all of what is left of the path wins, since keys
    may contain dots. `expected_field` of the built-in scorers has a copy of this, since their source is part of refs.
    """
    if isinstance(value, Mapping) and path in value:
        return value[path]
    step, dot, rest = path.partition(".")
    if isinstance(value, Mapping):
        return at(value[step], rest) if dot and step in value else ABSENT
    if isinstance(value, list) and step.isdecimal() and len(step) <= _LONGEST_INDEX and int(step) < len(value):
        return at(value[int(step)], rest) if dot else value[int(step)]
    return ABSENT
