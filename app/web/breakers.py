"""`/breakers`: which scorers are paused and why, and resuming them by hand. For keys of every project."""

from typing import Any

from aiohttp import web

from app import cluster, ids
from app.scorers import scorer_name
from app.web.auth import check_all_projects
from app.web.errors import not_found
from app.web.paging import listing, page_of
from app.web.queries import PageQuery, Query, parse
from app.web.responses import json_response, timestamp, timestamp_or_none
from tables import breakers
from tables.breakers import Shown

_OPEN, _CLOSED = "0", "1"  # in front of the keys of the list


class BreakersQuery(PageQuery):
    def gave(self, key: str) -> bool:
        return any(ids.is_below(key, place, names=4) for place in (_OPEN, _CLOSED))


async def list_breakers(request: web.Request) -> web.Response:
    """The breakers of all scorers that have run, open ones first, then by name."""
    query = parse(BreakersQuery, request)
    _check_operator(request)
    after = query.after
    return json_response(page_of([(_key(item), item) for item in await _gathered()], after, query.limit))


async def close_breaker(request: web.Request) -> web.Response:
    """Close the breakers of a scorer, named or by its ref, on every worker and in every project."""
    parse(Query, request)
    _check_operator(request)
    wanted = request.match_info["scorer"]
    found = [item for item in await _gathered() if wanted in (item["scorer_ref"], item["scorer_name"])]
    if not found:
        raise not_found("Breaker", "path", "scorer")
    refs = [item["scorer_ref"] for item in found]
    await cluster.every_worker(breakers.close, refs)
    return json_response(listing([item for item in await _gathered() if item["scorer_ref"] in refs], None))


async def _gathered() -> list[dict[str, Any]]:
    found: dict[tuple[str, str | None], list[tuple[str, Shown]]] = {}
    for url, shown in (await cluster.every_worker(breakers.listing)).items():
        for breaker in shown:
            found.setdefault((breaker["scorer_ref"], breaker["project_id"]), []).append((url, breaker))
    items = [_item(ref, project_id, seen) for (ref, project_id), seen in found.items()]
    return sorted(items, key=_key)


def _key(item: dict[str, Any]) -> str:
    place = _CLOSED if item["state"] == "closed" else _OPEN
    return "\0".join([place, item["scorer_name"], item["scorer_ref"], item["project_id"] or ""])


def _item(ref: str, project_id: str | None, seen: list[tuple[str, Shown]]) -> dict[str, Any]:
    """A breaker as clients see it, from the worker with its newest state."""
    newest = max((breaker for _, breaker in seen), key=lambda breaker: breaker["version"])
    probing = newest["state"] == "open" and any(breaker["state"] == "half_open" for _, breaker in seen)
    return {
        "scorer_ref": ref,
        "scorer_name": scorer_name(ref),
        "project_id": project_id,
        "state": "half_open" if probing else newest["state"],
        "reason": newest["reason"],
        "since": timestamp(newest["since"]),
        "next_probe_at": timestamp_or_none(newest["probe_at"]),
        "failures": max(breaker["failures"] for _, breaker in seen),
        "workers": [{"url": url, "state": breaker["state"]} for url, breaker in seen],
    }


def _check_operator(request: web.Request) -> None:
    check_all_projects(request, "Breakers are for keys of every project; a task says why it is paused")
