"""The cost of requests to providers, in readable form."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from app.client.http import Client
from app.client.text import number, plural

HEADINGS = ("DAY", "REQUESTS", "INPUT TOKENS", "OUTPUT TOKENS", "USD", "NOT COUNTED", "SCORER")
NUMBERS = HEADINGS[1:5]
_NOT_COUNTED = {"unpriced_requests": "without a price", "unanswered_requests": "without an answer"}


async def fetch(client: Client, project: str, since: datetime | None, until: datetime | None) -> dict[str, Any]:
    """A row for each scorer and day that started in the window, and the total."""
    window = {"since": since, "until": until}
    times = {name: time.isoformat() for name, time in window.items() if time is not None}
    return await client.get("/scorers/costs", {"project_id": project, **times})


def brief(cost: Mapping[str, Any]) -> str:
    """A cost in one line."""
    usd = _usd(cost)
    tokens = f"{number(cost['input_tokens'])} + {number(cost['output_tokens'])} tokens"
    uncounted = _not_counted(cost)
    counted = f"{usd if usd == 'unknown' else f'{usd} USD'} for {plural(cost['requests'], 'request')}, {tokens}"
    return f"{counted}; not counted: {uncounted}" if uncounted else counted


def rows(found: Mapping[str, Any]) -> Sequence[Sequence[str]]:
    """The cells under HEADINGS; the last row is the total."""
    lines = [
        _row(item["day"].removesuffix("T00:00:00.000000Z"), item["cost"], item["scorer_ref"]) for item in found["items"]
    ]
    return [*lines, _row("total", found["total"], "")]


def _row(day: str, cost: Mapping[str, Any], scorer: str) -> list[str]:
    counts = [number(cost[name]) for name in ("requests", "input_tokens", "output_tokens")]
    return [day, *counts, _usd(cost), _not_counted(cost), scorer]


def _usd(cost: Mapping[str, Any]) -> str:
    return "unknown" if cost["usd"] is None else f"{cost['usd']:,.6g}"


def _not_counted(cost: Mapping[str, Any]) -> str:
    return ", ".join(f"{number(cost[name])} {what}" for name, what in _NOT_COUNTED.items() if cost[name])
