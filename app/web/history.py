"""`GET /scores/history`: every event of one call × scorer."""

from typing import Any

from aiohttp import web

from app import ids
from app.web.auth import check_read
from app.web.paging import collect_of, listing
from app.web.queries import Id, PageQuery, Ref, parse
from app.web.responses import json_response, timestamp, timestamp_or_none
from app.web.scores import error_of, latest
from tables import history

_EVENTS = {"succeeded": "ScoreSucceeded", "failed": "ScoreFailed", "cancelled": "ScoreCancelled"}


class HistoryQuery(PageQuery):
    project_id: Id
    call_id: Id
    scorer_ref: Ref

    def gave(self, key: str) -> bool:
        return history.is_place(key)


async def list_history(request: web.Request) -> web.Response:
    """What happened to the tasks of a call × scorer ref, in the order of the log: each wait, attempt and outcome."""
    query = parse(HistoryQuery, request)
    check_read(request, query.project_id)
    key = ids.call_key(query.project_id, query.call_id)
    ref = await latest(request, query.project_id, query.scorer_ref)
    which = query.project_id, query.call_id, ref
    found, next_key = await collect_of(history.page, key, query.after, query.limit, *which)
    return json_response(listing([_event(item) for item in found], next_key))


def _event(item: dict[str, Any]) -> dict[str, Any]:
    """An event as clients see it: `output` only where it succeeded."""
    described: dict[str, Any] = {
        "event": item.get("event") or _EVENTS[item["status"]],
        "occasion": item["occasion"],
        "round": item["round"],
        "attempts": item["attempts"],
        "at": timestamp(item["at"]),
        "logged_at": timestamp(item.get("logged_at") or item["at"]),
        "reason": item.get("reason") or (item.get("error") or {}).get("type"),
        "error": error_of(item),
        "next_at": timestamp_or_none(item.get("next_at")),
        "request_ids": item.get("request_ids", []),
        "revision": item.get("revision"),
        "superseded": item.get("superseded", False),
        "position": {"partition": item["partition"], "offset": item["offset"]},
    }
    return described | ({"output": item.get("output")} if item.get("status") == "succeeded" else {})
