"""Scores as table cells, CSV rows and short text; choosing some of them; and why there are none."""

import asyncio
import heapq
from collections.abc import AsyncIterator, Mapping
from typing import Any

from app.client import calls
from app.client.defaults import url_option
from app.client.http import Client
from app.client.scorers import refs_with_scores
from app.client.text import bare, clean, json_line

CSV_COLUMNS = (
    "call_id", "scorer_name", "scorer_ref", "status", "passed", "score", "output", "error_type", "error_message",
    "attempts", "revision", "scored_at", "op_name",
)  # fmt: skip
CALL_COLUMNS = ("call_inputs", "call_output", "call_exception", "call_attributes")
_CALLS_AT_ONCE = 16

Score = Mapping[str, Any]


async def why_none(
    client: Client, project: str, otherwise: str, scorer: str | None = None, ref: str | None = None
) -> str:
    """Why no scores were found: the project has no calls, or no scores; `otherwise` if it has scores.

    If only other versions of `scorer` than `ref` have scores, it names them.
    """
    if await _has_any(client, "/scores", project):
        refs = [] if scorer is None else await refs_with_scores(client, project, scorer)
        others = [] if ref in refs else refs
        return f"{otherwise} Other versions of {scorer} have scores: {', '.join(others)}" if others else otherwise
    if await _has_any(client, "/calls", project):
        command = f"callscore submit --project {project} --scorer {scorer or 'NAME'}{url_option(client.service.url)}"
        return f"No call of {project} has a score yet. Submit calls with: {command}"
    return calls.none_of(project)


async def _has_any(client: Client, view: str, project: str) -> bool:
    return bool((await client.get(view, {"project_id": project, "limit": "1"}))["items"])


def passed(score: Score) -> bool | None:
    """Whether the call passed: the output's `passed`, or an output that is itself a boolean."""
    output = score.get("output")
    value = output.get("passed") if isinstance(output, dict) else output
    return value if isinstance(value, bool) else None


def value(score: Score) -> float | None:
    """The output's `score`, or an output that is itself a number."""
    output = score.get("output")
    found = output.get("score") if isinstance(output, dict) else output
    return found if isinstance(found, int | float) and not isinstance(found, bool) else None


async def not_passed(scores: AsyncIterator[Score]) -> AsyncIterator[Score]:
    """Those whose call did not pass."""
    async for score in scores:
        if passed(score) is False:
            yield score


async def first(scores: AsyncIterator[Score], count: int | None) -> AsyncIterator[Score]:
    """The first `count` of them; None: all."""
    left = count
    async for score in scores:
        yield score
        left = None if left is None else left - 1
        if left == 0:
            return


async def extreme(scores: AsyncIterator[Score], count: int, *, highest: bool) -> AsyncIterator[Score]:
    """The `count` scores with the lowest or the highest value, that one first; no more are kept in memory."""
    kept: list[tuple[float, int, Score]] = []
    place = 0
    async for score in scores:
        if (number := value(score)) is None:
            continue
        place -= 1  # of equal ones the first stay, and scores are not compared
        entry = (number if highest else -number, place, score)
        if len(kept) < count:
            heapq.heappush(kept, entry)
        else:
            heapq.heappushpop(kept, entry)
    for _, _, score in sorted(kept, reverse=True):
        yield score


async def with_calls(client: Client, project: str, scores: AsyncIterator[Score]) -> AsyncIterator[Score]:
    """The scores, each with its `call`, None if it was never logged."""
    waiting: list[Score] = []
    async for score in scores:
        waiting.append(score)
        if len(waiting) == _CALLS_AT_ONCE:
            for found in await _with_calls(client, project, waiting):
                yield found
            waiting.clear()
    for found in await _with_calls(client, project, waiting):
        yield found


async def _with_calls(client: Client, project: str, scores: list[Score]) -> list[Score]:
    ids = list({score["call_id"]: None for score in scores})
    found = dict(zip(ids, await asyncio.gather(*(calls.find(client, project, id_) for id_ in ids)), strict=True))
    return [{**score, "call": found[score["call_id"]]} for score in scores]


def csv_row(score: Score) -> list[Any]:
    """The cells of CSV_COLUMNS; the output as JSON, so that it is complete and has no control characters.

    If the score is with its call, those of CALL_COLUMNS follow; a text is shown as it is, anything else as JSON.
    """
    error = score.get("error") or {}
    cells = {
        **score,
        "passed": {True: "true", False: "false", None: ""}[passed(score)],
        "score": value(score),
        "output": json_line(score.get("output")) if score["status"] == "succeeded" else "",
        "error_type": error.get("type"),
        "error_message": error.get("message"),
    }
    columns: tuple[str, ...] = CSV_COLUMNS
    if "call" in score:
        call = score["call"] or {}
        columns += CALL_COLUMNS
        cells |= {f"call_{name}": _text(call.get(name)) for name in ("inputs", "output", "exception", "attributes")}
    return [_cell(cells.get(column)) for column in columns]


def brief(score: Score) -> str:
    """The outcome in short: the error or the output."""
    if score.get("error"):
        return brief_error(score)
    if score["status"] == "cancelled":
        return "its request was cancelled"
    output = score.get("output")
    if isinstance(output, dict):
        return clean("  ".join(f"{name} {bare(item)}" for name, item in output.items()), 300)
    return clean(bare(output), 300) if score["status"] == "succeeded" else ""


def brief_error(failed: Mapping[str, Any]) -> str:
    """The error in short; empty if there is none."""
    error = failed.get("error")
    return clean(f"{error.get('type')}: {error.get('message')}", 300) if error else ""


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json_line(value)


def _cell(value: Any) -> Any:
    return clean(value) if isinstance(value, str) else value
