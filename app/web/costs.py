"""What was spent, as clients see it; `GET /scorers/costs`: what the scorers of a project spent, day by day."""

import math
from typing import Any

from aiohttp import web
from pydantic import Field

from app.scorers import scorer_name
from app.scorers.report import usd
from app.usage import Usage
from app.web.auth import check_read
from app.web.errors import problem
from app.web.paging import sweep
from app.web.queries import Id, Query, Time, parse
from app.web.responses import json_response, timestamp
from tables import spending

MAX_ROWS = 10_000
_FOR_EVER = 2**53


class CostsQuery(Query):
    project_id: Id
    since: Time | None = Field(None, description="Only days that began then or later.")
    until: Time | None = Field(None, description="Only days that began before then.")


async def list_costs(request: web.Request) -> web.Response:
    """A row per scorer ref and day, by day and ref, of the days that began from `since` until before `until`.

    Also their sum. Days begin as `CALLSCORE_DAY_START` says.
    """
    query = parse(CostsQuery, request)
    check_read(request, query.project_id)
    since = 0 if query.since is None else math.ceil(query.since.timestamp())
    until = _FOR_EVER if query.until is None else math.ceil(query.until.timestamp())
    found = await _spent(query.project_id, since, until)
    items = [
        {
            "day": timestamp(day),
            "scorer_ref": ref,
            "scorer_name": scorer_name(ref),
            "cost": cost(spent),
        }
        for (day, ref), spent in sorted(found.items())
    ]
    total = cost(sum(found.values(), Usage())) if found else None
    return json_response({"items": items, "total": total})


async def _spent(project_id: str, since: int, until: int) -> dict[tuple[int, str], Usage]:
    """By day and scorer ref."""
    found: dict[tuple[int, str], Usage] = {}
    async for page in sweep(spending.by_day, project_id, since, until):
        for _, (ref, day, spent) in page["items"]:
            found[day, ref] = found.get((day, ref), Usage()) + Usage(**spent)
            if len(found) > MAX_ROWS:
                message = f"There are more than {MAX_ROWS} days of scorers; name a later since, or an earlier until"
                raise problem(422, ["query", "since"], message, "too_many_rows")
    return found


def cost(spent: Usage | None) -> dict[str, Any] | None:
    """None where nobody was asked. `usd` is None where no request has a price, and lacks those that have none."""
    if spent is None:
        return None
    return {
        "usd": None if spent.unpriced and not spent.cost else usd(spent.cost),
        "requests": spent.requests,
        "input_tokens": spent.input_tokens,
        "output_tokens": spent.output_tokens,
        "unpriced_requests": spent.unpriced,
        "unanswered_requests": spent.unanswered,
    }


def cost_of(stored: dict[str, int] | None) -> dict[str, Any] | None:
    """`cost` of what a row has."""
    return cost(None if stored is None else Usage(**stored))
