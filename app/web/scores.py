"""`GET /scores`: one row per call × scorer ref."""

from collections.abc import Mapping
from typing import Any, Literal

from aiohttp import web

from app import ids
from app.scorers import scorer_name
from app.web.as_of import AsOf, settled
from app.web.auth import check_read
from app.web.costs import cost_of
from app.web.paging import collect, collect_of, listing
from app.web.queries import Id, PageQuery, Ref, parse
from app.web.resolve import resolved
from app.web.responses import json_response, timestamp
from tables import scores
from tables.scores import Filters, Shown


class ScoresQuery(PageQuery):
    project_id: Id
    call_id: Id | None = None
    scorer_ref: Ref | None = None
    status: Literal["succeeded", "failed", "cancelled"] | None = None
    op_name: str | None = None
    as_of: AsOf = None

    def gave(self, key: str) -> bool:
        known = [self.project_id] if self.call_id is None else [self.project_id, self.call_id]
        return ids.is_below(key, *known, names=3)

    async def filters(self, request: web.Request) -> Filters:
        return {
            "call_id": self.call_id,
            "scorer_ref": self.scorer_ref and await latest(request, self.project_id, self.scorer_ref),
            "status": self.status,
            "op_name": self.op_name,
            "as_of": await settled(self.as_of),
        }


async def list_scores(request: web.Request) -> web.Response:
    """The newest score that succeeded of each call × scorer ref, else the newest that ended, by call and scorer.

    With `as_of` as it was then.
    """
    query = parse(ScoresQuery, request)
    check_read(request, query.project_id)
    filters = await query.filters(request)
    if query.call_id is None:
        found, next_key = await collect(scores.page, query.after, query.limit, query.project_id, filters)
    else:
        key = ids.call_key(query.project_id, query.call_id)
        found, next_key = await collect_of(scores.page, key, query.after, query.limit, query.project_id, filters)
    return json_response(listing([score(query.project_id, shown) for shown in found], next_key))


async def latest(request: web.Request, project_id: str, scorer_ref: str) -> str:
    """The ref of what scores are asked for: any, or with `:latest` the version that a name means now."""
    return await resolved(request, project_id, scorer_ref) if scorer_ref.endswith(":latest") else scorer_ref


def score(project_id: str, shown: Shown) -> dict[str, Any]:
    """A score as clients see it: `output` only where it succeeded, `error` only where it failed."""
    row = shown["row"]
    described: dict[str, Any] = {
        "project_id": project_id,
        "call_id": shown["call_id"],
        "scorer_ref": shown["scorer_ref"],
        "scorer_name": scorer_name(shown["scorer_ref"]),
        "status": row["status"],
    }
    if row["status"] == "succeeded":
        described["output"] = row.get("output")
    elif (error := error_of(row)) is not None:
        described["error"] = error
    return described | {
        "attempts": row["attempts"],
        "revision": shown["revision"],
        "scored_at": timestamp(row["at"]),
        "op_name": row.get("op_name"),
        "lineage": {
            **row.get("lineage", {}),
            "attempt": row["attempts"],
            "cost": cost_of(row.get("spent")),
            "partition": shown["partition"],
            "offset": row["offset"],
        },
    }


def error_of(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """Why it failed, if it did."""
    error = row.get("error")
    shown = ("type", "message", "traceback", "raw")
    return None if error is None else {name: error[name] for name in shown if error.get(name) is not None}
