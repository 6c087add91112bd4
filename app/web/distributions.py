"""How the outputs of a scorer are distributed: per leaf path, numbers, booleans and strings."""

import math
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from app import ids

BINS = 10
TOP = 20
MAX_PATHS = 200
MAX_DISTINCT = 50_000  # of one answer, whose every group may have strings of its own at each of its paths
_SHOWN_CHARACTERS = 200

Leaf = tuple[str, float | bool | str | None]


def leaves(value: Any, path: str = "") -> Iterator[Leaf]:
    """(dotted path, value) of the leaves of an output; a bare value has the path `""`.

    A list is one leaf, `path[]`, whose value is its length.
    """
    if isinstance(value, dict):
        for name, item in value.items():
            yield from leaves(item, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list):
        yield f"{path}[]", len(value)
    else:
        yield path, value


def _short(value: str) -> str:
    """A text as shown and counted; its digest tells long texts with the same beginning apart."""
    if len(value) <= _SHOWN_CHARACTERS:
        return value
    return f"{value[:_SHOWN_CHARACTERS]}… ({len(value)} characters, {ids.digest(value)[:8]})"


class StringBudget:
    """How many more distinct strings an answer may hold."""

    def __init__(self) -> None:
        self._left = MAX_DISTINCT

    def take(self, known: int) -> bool:
        """Reserve a string for a path that has `known` of them; False if none is left.

        The last half is kept for paths with few strings, so that a judge's reasons, which all differ, leave room for
        its labels in each group.
        """
        if self._left <= (MAX_DISTINCT // 2 if known >= TOP else 0):
            return False
        self._left -= 1
        return True


class Distribution:
    """The values at one path."""

    def __init__(self, budget: StringBudget) -> None:
        self._budget = budget
        self.numbers: array[float] = array("d")
        self.trues = 0
        self.falses = 0
        self.nulls = 0
        self.strings: Counter[str] = Counter()
        self.strings_seen = 0

    def add(self, value: float | bool | str | None) -> None:
        if value is None:
            self.nulls += 1
        elif isinstance(value, bool):
            self.trues += value
            self.falses += not value
        elif isinstance(value, str):
            self.strings_seen += 1
            short = _short(value)
            if short in self.strings or self._budget.take(len(self.strings)):
                self.strings[short] += 1
        else:
            self.numbers.append(float(value))

    def describe(self, numbers: dict[str, Any] | None) -> dict[str, Any]:
        """The most frequent type of value here; values of other types are counted in `other` by type.

        Args:
            numbers: what `describe_numbers` says of `self.numbers`; None if there are none.
        """
        seen = {
            "number": len(self.numbers),
            "boolean": self.trues + self.falses,
            "string": self.strings_seen,
            "null": self.nulls,
        }
        kind = max(seen, key=lambda name: (name != "null" and seen[name] > 0, seen[name]))
        described: dict[str, Any] = {"type": kind, "n": seen[kind]}
        if kind == "number":
            described |= numbers or {}
        elif kind == "boolean":
            described["true"] = self.trues / seen[kind]
        elif kind == "string":
            described["top"] = [{"value": value, "n": n} for value, n in self.strings.most_common(TOP)]
            described["complete"] = sum(self.strings.values()) == self.strings_seen
        other = {name: n for name, n in seen.items() if n and name != kind}
        return described | ({"other": other} if other else {})


class Summary:
    """The outcomes of one scorer ref in one group of an answer."""

    def __init__(self, budget: StringBudget) -> None:
        self._budget = budget
        self.succeeded = 0
        self.failures: Counter[str] = Counter()
        self.paths: dict[str, Distribution] = {}
        self.paths_left_out = False

    def add(self, succeeded: bool, value: Any) -> None:
        """Count an output, or the type of an error: a failure is never a value."""
        if not succeeded:
            self.failures[str(value)] += 1
            return
        self.succeeded += 1
        for path, leaf in leaves(value):
            found = self.paths.get(path)
            if found is None:
                if len(self.paths) >= MAX_PATHS:
                    self.paths_left_out = True
                    continue
                found = self.paths[path] = Distribution(self._budget)
            found.add(leaf)


def describe_numbers(values: "array[float]") -> dict[str, Any]:
    """mean, p5, p50, p95 and a histogram of ten equally wide bins. There is at least one value."""
    ordered = sorted(values)
    return {
        "mean": mean(ordered),
        "min": ordered[0],
        "max": ordered[-1],
        "p5": percentile(ordered, 0.05),
        "p50": percentile(ordered, 0.50),
        "p95": percentile(ordered, 0.95),
        "histogram": histogram(ordered),
    }


def mean(values: list[float]) -> float:
    try:
        return math.fsum(values) / len(values)
    except OverflowError:
        halved = math.fsum(value / 2 / len(values) for value in values)
        return min(max(2 * halved, min(values)), max(values))


def percentile(ordered: list[float], fraction: float) -> float:
    """The value below which `fraction` of the sorted values lie, linear between neighbours."""
    position = fraction * (len(ordered) - 1)
    index = math.floor(position)
    below, above = ordered[index], ordered[min(index + 1, len(ordered) - 1)]
    weight = position - index
    return min(max(below * (1 - weight) + above * weight, below), above)  # rounding must not step over a neighbour


def histogram(ordered: list[float]) -> dict[str, list[Any]]:
    """`edges` (one more than bins) and `counts`; a bin holds its lower edge, the last one its upper edge too.

    One bin if all are equal, or too near to each other, or too large, to be divided by ten.
    """
    low, high = ordered[0], ordered[-1]
    # Divided last, so that edges between numbers of one decimal are numbers of one decimal as well.
    edges = [low, *((low * (BINS - number) + high * number) / BINS for number in range(1, BINS)), high]
    if len(set(edges)) != BINS + 1 or edges != sorted(edges):
        return {"edges": [low, high], "counts": [len(ordered)]}
    ends = [*(bisect_left(ordered, edge) for edge in edges[:-1]), len(ordered)]
    return {"edges": edges, "counts": [behind - begin for begin, behind in pairwise(ends)]}
