"""How far two scorers agree on the calls that both have scored."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from app.client import scores
from app.client.http import Client

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
    """Numbers are correlated, anything else is counted.

    Returns:
        `calls`; of numbers `pearson` and `spearman` (None where all are equal) and `mean_difference`; of anything else
        `agreement` (the share of equal ones), `kappa` (Cohen's: what of it is no chance) and `confusion`; and the
        `limit` `disagreements` that are largest.
    """
    found: dict[str, Any] = {"calls": len(pairs), "confusion": [], "disagreements": []}
    if not pairs:
        return found
    if not any(isinstance(value, str) for _, *both in pairs for value in both) and not all(
        isinstance(value, bool) for _, *both in pairs for value in both
    ):
        return found | _numbers([(call_id, float(mine), float(yours)) for call_id, mine, yours in pairs], limit)
    return found | _kinds(pairs, limit)


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
        said.append(
            f"Correlation {_number(found['pearson'])} (Pearson), {_number(found['spearman'])} (Spearman); "
            f"the first gives {found['mean_difference']:+.3g} on average."
        )
    else:
        said.append(f"They agree on {found['agreement']:.1%}; kappa {_number(found['kappa'])}.")
    return said


def _number(value: float | None) -> str:
    return "unknown, since one always says the same" if value is None else f"{value:.3f}"
