"""Scores as table cells, CSV rows and short text; and why there are none."""

from collections.abc import Mapping
from typing import Any

from app.client.defaults import url_option
from app.client.http import Client
from app.client.scorers import refs_with_scores
from app.client.text import bare, clean, json_line

CSV_COLUMNS = (
    "call_id", "scorer_name", "scorer_ref", "status", "passed", "score", "output", "error_type", "error_message",
    "attempts", "revision", "scored_at", "op_name",
)  # fmt: skip


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
    return f"The project {project} has no calls. Import some with: callscore calls import"


async def _has_any(client: Client, view: str, project: str) -> bool:
    return bool((await client.get(view, {"project_id": project, "limit": "1"}))["items"])


def passed(score: Mapping[str, Any]) -> bool | None:
    """Whether the call passed: the output's `passed`, or an output that is itself a boolean."""
    output = score.get("output")
    value = output.get("passed") if isinstance(output, dict) else output
    return value if isinstance(value, bool) else None


def value(score: Mapping[str, Any]) -> float | None:
    """The output's `score`, or an output that is itself a number."""
    output = score.get("output")
    found = output.get("score") if isinstance(output, dict) else output
    return found if isinstance(found, int | float) and not isinstance(found, bool) else None


def csv_row(score: Mapping[str, Any]) -> list[Any]:
    """The cells of CSV_COLUMNS; the output as JSON, so that it is complete and has no control characters."""
    error = score.get("error") or {}
    cells = {
        **score,
        "passed": {True: "true", False: "false", None: ""}[passed(score)],
        "score": value(score),
        "output": json_line(score.get("output")) if score["status"] == "succeeded" else "",
        "error_type": error.get("type"),
        "error_message": error.get("message"),
    }
    return [_cell(cells.get(column)) for column in CSV_COLUMNS]


def brief(score: Mapping[str, Any]) -> str:
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


def _cell(value: Any) -> Any:
    return clean(value) if isinstance(value, str) else value
