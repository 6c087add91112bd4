"""The summary of scores as a table."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from app.client.http import Client
from app.client.output import Table
from app.client.text import clean, natural, number

_HEADING_CHARACTERS = 30
_DIGEST_CHARACTERS = 8
_LOOKED_AT = 100  # calls
_NAMES_CHARACTERS = 300


async def fetch(
    client: Client, project: str, by: str | None = None, scorer_ref: str | None = None, as_of: str | None = None
) -> list[dict[str, Any]]:
    """The summary: an item for each scorer ref and group."""
    params = {"project_id": project, "group_by": by, "scorer_ref": scorer_ref, "as_of": as_of}
    given = {name: value for name, value in params.items() if value is not None}
    found: list[dict[str, Any]] = (await client.get("/scores/summary", given))["items"]
    return found


async def why_no_groups(client: Client, project: str, by: str) -> str:
    """That no call with a score has the path, and which names the first calls have in its place."""
    field = by.partition(".")[0]
    names: dict[str, None] = {}
    if field != by:
        async for call in client.items("/calls", {"project_id": project}, _LOOKED_AT):
            names |= dict.fromkeys(f"{field}.{name}" for name in call.get(field) or {})
    names.pop(by, None)  # other calls may have it
    have = f" The first calls have: {clean(', '.join(names), _NAMES_CHARACTERS)}." if names else ""
    return f"No call with a score has {by}.{have}"


def comparison(items: Sequence[Mapping[str, Any]]) -> Table:
    """A row for each scorer, by name, and a column for each group of calls.

    Cells show the pass rate or mean score, and of how many.
    """
    groups = _groups(items)
    headings = (clean(name, _HEADING_CHARACTERS) for name in groups.values())
    rows = [[name, shown, *(cells.get(group, "-") for group in groups)] for name, shown, cells in _scorers(items)]
    return ["SCORER", "SHOWN", *headings], rows


def by_group(items: Sequence[Mapping[str, Any]]) -> Table:
    """A row for each scorer and group, with the cells of `comparison`."""
    groups = _groups(items)
    rows = [
        [name, clean(groups[group]), shown, cells[group]]
        for name, shown, cells in _scorers(items)
        for group in groups
        if group in cells
    ]
    return ["SCORER", "GROUP", "SHOWN", "RESULT"], rows


def _groups(items: Sequence[Mapping[str, Any]]) -> dict[str | None, str]:
    """The groups in order, each with its name."""
    groups = sorted({item["group"] for item in items}, key=lambda group: (group is None, group or ""))
    unnamed = "ALL" if groups == [None] else "(none)"
    return {group: unnamed if group is None else group for group in groups}


def _scorers(items: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str, dict[str | None, str]]]:
    """The name of each scorer, what its cells show, and its cell for each group."""
    of_scorer: dict[str, dict[str | None, Mapping[str, Any]]] = defaultdict(dict)
    for item in items:
        of_scorer[item["scorer_ref"]][item["group"]] = item
    names = {item["scorer_ref"]: item["scorer_name"] for item in items}
    for ref, found in sorted(of_scorer.items(), key=lambda scorer: natural(names[scorer[0]])):
        name = names[ref]
        if list(names.values()).count(name) > 1:
            name = f"{name}:{ref.rpartition(':')[2][:_DIGEST_CHARACTERS]}"
        shown = _shown(found.values())
        yield name, shown, {group: _cell(item, shown) for group, item in found.items()}


def _shown(cells: Iterable[Mapping[str, Any]]) -> str:
    """What the cells of a scorer show: pass rates if there are any, else mean scores, else how many succeeded."""
    cells = list(cells)
    for shown in ("passed", "mean"):
        if any(_measure(cell, shown) for cell in cells):
            return shown
    return "scored"


def _cell(item: Mapping[str, Any], shown: str) -> str:
    text = number(item["succeeded"]) if shown == "scored" else _measure(item, shown) or "-"
    return f"{text}, {number(item['failed'])} failed" if item["failed"] else text


def _measure(item: Mapping[str, Any], shown: str) -> str | None:
    """The share of calls that passed, or the mean score, and of how many; either may be the whole output."""
    kind, path = ("boolean", "passed") if shown == "passed" else ("number", "score")
    for leaf in (item["outputs"].get(path), item["outputs"].get("")):
        if leaf and leaf["type"] == kind:
            text = _percent(leaf["true"]) if shown == "passed" else f"{leaf['mean']:.2f}"
            return f"{text} of {number(leaf['n'])}"
    return None


def _percent(share: float) -> str:
    """A percentage; only shares of exactly 0 and 1 are shown as 0% and 100%."""
    if 0 < share < 0.001:
        return "<0.1%"
    if 0.999 < share < 1:
        return ">99.9%"
    return f"{share:.1%}" if 0 < share < 0.01 or 0.99 < share < 1 else f"{share:.0%}"
