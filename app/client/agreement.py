"""How far two scorers agree on the calls that both have scored."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any, Literal

from app.client import scores
from app.client.defaults import url_option
from app.client.errors import CommandError
from app.client.http import Client
from app.client.output import Table
from app.client.text import clean, plural

Value = float | str | bool
Readings = Mapping[str, Value]  # of a score, by "label", "number" and "passed"
Pair = tuple[str, Value, Value]  # call id, and the reading of each scorer

MOST_KINDS = 30  # in a table of counts
_PLURALS = {"label": "labels", "number": "numbers", "passed": "whether calls passed"}


# Which readings of two scorers can be compared, best first.
_READINGS = (
    ("label", "label"),
    ("number", "number"),
    ("passed", "passed"),
    ("number", "passed"),
    ("passed", "number"),
)


async def pairs(client: Client, project: str, one: str, other: str) -> list[Pair]:
    """Comparable readings of both scorers for each call that both have scored.

    Raises:
        CommandError: no call has scores by both, or their scores cannot be compared.
    """
    mine, yours = [await _readings(client, project, ref) for ref in (one, other)]
    for ref, found in ((one, mine), (other, yours)):
        if not found:
            command = f"callscore submit --project {project} --scorer {ref}{url_option(client.service.url)}"
            raise CommandError(
                f"No call of {project} has a score by {ref} with a label, a number or `passed`. "
                f"If it has not scored any, submit calls with: {command}"
            )
    if not mine.keys() & yours.keys():
        raise CommandError(f"No call of {project} has comparable scores by both.")
    pairs = paired(mine, yours)
    if not pairs:
        raise CommandError(
            f"Their scores cannot be compared: one gives {_named(mine)}, the other {_named(yours)}. "
            "Labels can be compared only with labels, and numbers only with numbers or whether calls passed."
        )
    return pairs


async def _readings(client: Client, project: str, ref: str) -> dict[str, Readings]:
    params = {"project_id": project, "scorer_ref": ref, "status": "succeeded"}
    return {score["call_id"]: found async for score in client.items("/scores", params) if (found := readings(score))}


def readings(score: Mapping[str, Any]) -> Readings:
    """The readings of a score: those of `label`, `number` and `passed` that it has."""
    output = score.get("output")
    label = output.get("label") if isinstance(output, dict) else output
    found = {
        "label": label if isinstance(label, str) else None,
        "number": scores.value(score),
        "passed": scores.passed(score),
    }
    return {name: value for name, value in found.items() if value is not None}


def paired(mine: Mapping[str, Readings], yours: Mapping[str, Readings]) -> list[Pair]:
    """The pair of readings that most calls have, of several the best; empty if there is none.

    Labels of two scales that have none in common are compared only if nothing else can be.
    """
    both = [(call_id, my, yours[call_id]) for call_id, my in mine.items() if call_id in yours]
    ways = [
        [(call_id, my[one], your[other]) for call_id, my, your in both if one in my and other in your]
        for one, other in _READINGS
    ]
    return max(ways, key=lambda way: (len(way) if _is_informative(way) else 0, bool(way)))


def _is_informative(way: Sequence[Pair]) -> bool:
    """Whether it has no labels, or both scorers use a common label."""
    mine, yours = ({pair[side] for pair in way if isinstance(pair[side], str)} for side in (1, 2))
    return not mine or bool(mine & yours)


def _named(readings_by_call: Mapping[str, Readings]) -> str:
    names = {name for found in readings_by_call.values() for name in found}
    return " and ".join(word for name, word in _PLURALS.items() if name in names)


def compare(pairs: Sequence[Pair], limit: int) -> dict[str, Any]:
    """Compare readings: numbers by correlation, labels and passes by counts, numbers with passes by both.

    Args:
        pairs: at least one; the readings of a scorer are of one type.

    Returns:
        `calls`; `compared`, which of `label`, `number` and `passed` of `one` and of the `other`; of numbers `pearson`
        and `spearman` (None where all are equal) and `mean_difference`; of anything else
        `agreement` (the share of equal ones), `kappa` (Cohen's: what of it is no chance) and `confusion`; of numbers
        and whether calls passed, which `passed_by` (`one` or `other`) says, the correlations and the numbers
        `by_passed`: how many there are, and their mean; and the `limit` `disagreements` that are largest.
    """
    one, other = (_type(pairs[0][side]) for side in (1, 2))
    found: dict[str, Any] = {"calls": len(pairs), "compared": {"one": one, "other": other}}
    found |= {"confusion": [], "by_passed": [], "disagreements": []}
    if (one, other) == ("passed", "number"):
        return found | _by_passed(pairs, "one", limit)
    if (one, other) == ("number", "passed"):
        return found | _by_passed(pairs, "other", limit)
    if (one, other) == ("number", "number"):
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
    means = {part: mean(found) if found else None for part, found in parts.items()}

    def misplaced(place: int) -> float:
        """How far a number is from the mean of its group, if it is nearer to that of the other group; else 0."""
        own, others = means[passed[place]], means[not passed[place]]
        if own is None or others is None or abs(numbers[place] - own) <= abs(numbers[place] - others):
            return 0.0
        return abs(numbers[place] - own)

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
        "mean_difference": mean(mine) - mean(yours),
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
    """Pearson's; None if one side is constant."""
    if min(mine) == max(mine) or min(yours) == max(yours):
        return None
    one, other = _deviations(mine), _deviations(yours)
    spread = math.fsum(a * a for a in one) * math.fsum(b * b for b in other)
    return math.fsum(a * b for a, b in zip(one, other, strict=True)) / math.sqrt(spread)


def _deviations(values: Sequence[float]) -> list[float]:
    """Deviations from the mean, scaled so that squaring them neither overflows nor underflows."""
    unit = max(map(abs, values))
    scaled = [value / unit for value in values]
    middle = math.fsum(scaled) / len(scaled)
    return [value - middle for value in scaled]


def ranks(values: Sequence[float]) -> list[float]:
    """The rank of each value; equal values share their mean rank."""
    order = sorted(values)
    first: dict[float, int] = {}
    for place, value in enumerate(order):
        first.setdefault(value, place)
    counts = Counter(values)
    return [first[value] + (counts[value] - 1) / 2 for value in values]


def lines(found: Mapping[str, Any]) -> list[str]:
    """The comparison in a few sentences."""
    one, other = (_PLURALS[found["compared"][name]] for name in ("one", "other"))
    by = one if one == other else f"{one} of the first with {other} of the other"
    sentences = [
        f"{plural(found['calls'], 'call')} {'was' if found['calls'] == 1 else 'were'} scored by both; compared: {by}."
    ]
    if "pearson" in found:
        more = f"; the first gives {found['mean_difference']:+.3g} on average" if "mean_difference" in found else ""
        sentences.append(
            f"Correlation {_number(found['pearson'])} (Pearson), {_number(found['spearman'])} (Spearman){more}."
        )
    else:
        sentences.append(f"They agree on {found['agreement']:.1%} of the calls; kappa {_number(found['kappa'])}.")
    if (kinds := len(_kinds_in(found))) > MOST_KINDS:
        sentences.append(f"They gave {kinds:,} different labels, too many for a table. Use --json for the counts.")
    return sentences


def tables(found: Mapping[str, Any], one: str, other: str) -> list[Table]:
    """The counts for two scorers with these names, in one form or two, the wider first; none if there are none."""
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
        return [([f"PASSED {judge}", "CALLS", f"MEAN OF {scale}"], parts)]
    kinds = _kinds_in(found)
    if not kinds or len(kinds) > MOST_KINDS:
        return []
    counts = {(str(cell["one"]), str(cell["other"])): str(cell["calls"]) for cell in found["confusion"]}
    rows = [[clean(mine), *(counts.get((mine, yours), "0") for yours in kinds)] for mine in kinds]
    frequent = sorted(found["confusion"], key=lambda cell: -cell["calls"])
    listed = [[str(cell["calls"]), clean(cell["one"]), clean(cell["other"])] for cell in frequent]
    return [([f"{one} \\ {other}", *kinds], rows), (["CALLS", one, other], listed)]


def _kinds_in(found: Mapping[str, Any]) -> list[str]:
    return sorted({str(cell[name]) for cell in found["confusion"] for name in ("one", "other")})


def _number(value: float | None) -> str:
    return "unknown (one side is constant)" if value is None else f"{value:.3f}"
