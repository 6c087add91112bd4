"""How far two scorers agree on the calls that both have scored."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from app.client import scores
from app.client.http import Client
from app.client.text import clean

Value = float | str | bool
Pair = tuple[str, Value, Value]  # call id, and what each says


async def pairs(client: Client, project: str, one: str, other: str) -> list[Pair]:
    """What both say of each call, where both say something that can be compared, by call id."""
    said = [await _said(client, project, ref) for ref in (one, other)]
    return [(call_id, mine, said[1][call_id]) for call_id, mine in said[0].items() if call_id in said[1]]


async def _said(client: Client, project: str, ref: str) -> dict[str, Value]:
    params = {"project_id": project, "scorer_ref": ref, "status": "succeeded"}
    found = {}
    async for score in client.items("/scores", params):
        value = comparable(score)
        if value is not None:
            found[score["call_id"]] = value
    return found


def comparable(score: Mapping[str, Any]) -> Value | None:
    """A score's label, or else its number, or else whether it passed; None if it has none of these."""
    output = score.get("output")
    label = output.get("label") if isinstance(output, dict) else output
    if isinstance(label, str):
        return label
    number = scores.value(score)
    return scores.passed(score) if number is None else number


def compare(pairs: Sequence[Pair], limit: int) -> dict[str, Any]:
    """Numbers are correlated, anything else is counted; numbers and whether calls passed are told by each other.

    Returns:
        `calls`; of numbers `pearson` and `spearman` (None where all are equal) and `mean_difference`; of anything else
        `agreement` (the share of equal ones), `kappa` (Cohen's: what of it is no chance) and `confusion`; of numbers
        and whether calls passed, which `passed_by` (`one` or `other`) says, the correlations and the numbers
        `by_passed`: how many there are, and their mean; and the `limit` `disagreements` that are largest.
    """
    found: dict[str, Any] = {"calls": len(pairs), "confusion": [], "by_passed": [], "disagreements": []}
    if not pairs:
        return found
    one, other = ({_type(pair[side]) for pair in pairs} for side in (1, 2))
    if (one, other) == ({"passed"}, {"number"}):
        return found | _by_passed(pairs, "one", limit)
    if (one, other) == ({"number"}, {"passed"}):
        return found | _by_passed(pairs, "other", limit)
    if not any(isinstance(value, str) for _, *both in pairs for value in both) and not all(
        isinstance(value, bool) for _, *both in pairs for value in both
    ):
        return found | _numbers([(call_id, float(mine), float(yours)) for call_id, mine, yours in pairs], limit)
    return found | _kinds(pairs, limit)


def _type(value: Value) -> str:
    return "passed" if isinstance(value, bool) else "label" if isinstance(value, str) else "number"


def _by_passed(pairs: Sequence[Pair], passed_by: Literal["one", "other"], limit: int) -> dict[str, Any]:
    side = 1 if passed_by == "one" else 2
    passed, numbers = [pair[side] is True for pair in pairs], [float(pair[3 - side]) for pair in pairs]
    parts = {
        part: [number for number, own in zip(numbers, passed, strict=True) if own is part] for part in (True, False)
    }
    means = {part: math.fsum(found) / len(found) if found else None for part, found in parts.items()}

    def misplaced(place: int) -> float:
        """How much nearer a number is to the mean of those calls that its own is not one of."""
        own, others = means[passed[place]], means[not passed[place]]
        return 0.0 if own is None or others is None else abs(numbers[place] - own) - abs(numbers[place] - others)

    against = sorted((-misplaced(place), pair) for place, pair in enumerate(pairs) if misplaced(place) > 0)
    return {
        "passed_by": passed_by,
        "by_passed": [{"passed": part, "calls": len(parts[part]), "mean": means[part]} for part in parts],
        "pearson": correlation(passed, numbers),
        "spearman": correlation(ranks(passed), ranks(numbers)),
        "disagreements": _shown([pair for _, pair in against], limit),
    }


def _numbers(pairs: list[tuple[str, float, float]], limit: int) -> dict[str, Any]:
    mine, yours = [pair[1] for pair in pairs], [pair[2] for pair in pairs]
    differing = sorted((pair for pair in pairs if pair[1] != pair[2]), key=lambda pair: (-abs(pair[1] - pair[2]), pair))
    return {
        "pearson": correlation(mine, yours),
        "spearman": correlation(ranks(mine), ranks(yours)),
        "mean_difference": math.fsum(mine) / len(mine) - math.fsum(yours) / len(yours),
        "disagreements": _shown(differing, limit),
    }


def _kinds(pairs: Sequence[Pair], limit: int) -> dict[str, Any]:
    counts = Counter((_kind(mine), _kind(yours)) for _, mine, yours in pairs)
    agreed = sum(number for (mine, yours), number in counts.items() if mine == yours) / len(pairs)
    return {
        "agreement": agreed,
        "kappa": _kappa(counts, len(pairs), agreed),
        "confusion": [
            {"one": mine, "other": yours, "calls": number} for (mine, yours), number in sorted(counts.items())
        ],
        "disagreements": _shown([pair for pair in pairs if _kind(pair[1]) != _kind(pair[2])], limit),
    }


def _kind(value: Value) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


def _kappa(counts: Counter[tuple[str, str]], total: int, agreed: float) -> float | None:
    mine: Counter[str] = Counter()
    yours: Counter[str] = Counter()
    for (one, other), number in counts.items():
        mine[one] += number
        yours[other] += number
    chance = sum(mine[kind] * yours[kind] for kind in mine) / total**2
    return None if chance == 1 else (agreed - chance) / (1 - chance)


def _shown(pairs: Sequence[Pair], limit: int) -> list[dict[str, Any]]:
    return [{"call_id": call_id, "one": mine, "other": yours} for call_id, mine, yours in pairs[:limit]]


def correlation(mine: Sequence[float], yours: Sequence[float]) -> float | None:
    """Pearson's; None where one of them is always the same."""
    mean, other_mean = math.fsum(mine) / len(mine), math.fsum(yours) / len(yours)
    covariance = math.fsum((a - mean) * (b - other_mean) for a, b in zip(mine, yours, strict=True))
    spread = math.fsum((a - mean) ** 2 for a in mine) * math.fsum((b - other_mean) ** 2 for b in yours)
    return covariance / math.sqrt(spread) if spread else None


def ranks(values: Sequence[float]) -> list[float]:
    """The place of each in order; equal ones share the mean of theirs."""
    order = sorted(values)
    first: dict[float, int] = {}
    for place, value in enumerate(order):
        first.setdefault(value, place)
    counts = Counter(values)
    return [first[value] + (counts[value] - 1) / 2 for value in values]


def lines(found: Mapping[str, Any]) -> list[str]:
    """What was found, in a few words."""
    said = [f"{found['calls']} calls were scored by both."]
    if "pearson" in found:
        more = f"; the first gives {found['mean_difference']:+.3g} on average" if "mean_difference" in found else ""
        said.append(
            f"Correlation {_number(found['pearson'])} (Pearson), {_number(found['spearman'])} (Spearman){more}."
        )
    else:
        said.append(f"They agree on {found['agreement']:.1%}; kappa {_number(found['kappa'])}.")
    return said


def table(found: Mapping[str, Any], one: str, other: str) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of what was counted of two scorers with these names; no rows if nothing was."""
    if found["by_passed"]:
        judge, scale = (one, other) if found["passed_by"] == "one" else (other, one)
        parts = [
            [
                "yes" if part["passed"] else "no",
                f"{part['calls']:,}",
                "-" if part["mean"] is None else f"{part['mean']:.3g}",
            ]
            for part in found["by_passed"]
        ]
        return [f"PASSED {judge}", "CALLS", f"MEAN OF {scale}"], parts
    kinds = sorted({str(cell[name]) for cell in found["confusion"] for name in ("one", "other")})
    counts = {(str(cell["one"]), str(cell["other"])): str(cell["calls"]) for cell in found["confusion"]}
    rows = [[clean(mine), *(counts.get((mine, yours), "0") for yours in kinds)] for mine in kinds]
    return [f"{one} \\ {other}", *kinds], rows


def _number(value: float | None) -> str:
    return "unknown, since one always says the same" if value is None else f"{value:.3f}"
