"""`GET /scores/gaps`: the calls of a project that have no succeeded score of a scorer, and why."""

from collections import Counter
from typing import Any

from aiohttp import web

from app import cluster, ids, topics
from app.web import catching_up
from app.web.auth import check_read
from app.web.errors import ApiError
from app.web.paging import collect, listing, sweep
from app.web.queries import Id, PageQuery, Query, Ref, parse
from app.web.resolve import resolved
from app.web.responses import json_response, timestamp_or_none
from tables import chunks, gaps


class GapsQuery(PageQuery):
    project_id: Id
    scorer_ref: Ref
    reason: gaps.Reason | None = None

    def gave(self, key: str) -> bool:
        return ids.is_below(key, names=1)


class CountQuery(Query):
    project_id: Id
    scorer_ref: Ref


async def list_gaps(request: web.Request) -> web.Response:
    """Gaps by call id; of a scorer's name the latest version is meant, if it is asked for with `:latest`."""
    query = parse(GapsQuery, request)
    check_read(request, query.project_id)
    ref = await _ref(request, query.project_id, query.scorer_ref)
    if query.after is None:
        await _seen()
    found, next_key = await collect(gaps.page, query.after, query.limit, query.project_id, ref, query.reason)
    return json_response(listing([_gap(gap) for gap in found], next_key) | {"scorer_ref": ref})


async def count_gaps(request: web.Request) -> web.Response:
    """How many calls there are, how many have a score, and how many have none for which reason."""
    query = parse(CountQuery, request)
    check_read(request, query.project_id)
    ref = await _ref(request, query.project_id, query.scorer_ref)
    await _seen()
    calls, reasons, errors = 0, Counter[str](), Counter[str]()
    async for counted in sweep(gaps.count, query.project_id, ref):
        calls += counted["calls"]
        reasons.update(counted["reasons"])
        errors.update(counted["errors"])
    return json_response(
        {
            "scorer_ref": ref,
            "calls": calls,
            "scored": calls - reasons.total(),
            "gaps": reasons.total(),
            "reasons": dict(reasons.most_common()),
            "errors": dict(errors.most_common()),
        }
    )


async def _ref(request: web.Request, project_id: str, scorer_ref: str) -> str:
    """The ref that never changes its meaning: of a scorer that there is, or that a request named while there was.

    Raises:
        ApiError: 422, there is and was none.
        cluster.Unavailable: it cannot be asked everywhere now.
    """
    try:
        return await resolved(request, project_id, scorer_ref)
    except ApiError:
        found = await cluster.everywhere(chunks.is_named, project_id, scorer_ref)
        if any(found.values()):
            return scorer_ref
        cluster.whole(found)
        raise


async def _seen() -> None:
    """Who asks right after logging calls, or asking for their scores, means those too."""
    for topic in (topics.calls, topics.score_requests, topics.score_events):
        await catching_up.seen_by_who_answers(topic)


def _gap(gap: dict[str, Any]) -> dict[str, Any]:
    times = {name: timestamp_or_none(gap[name]) for name in ("since", "next_at")}
    return gap | times
