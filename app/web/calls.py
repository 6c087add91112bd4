"""`GET /calls`: the logged calls of a project."""

from aiohttp import web
from pydantic import Field

from app import cluster, ids, topics
from app.web import catching_up
from app.web.auth import check_read
from app.web.paging import collect, listing
from app.web.queries import Id, PageQuery, parse
from app.web.responses import json_response
from tables import calls


class CallsQuery(PageQuery):
    project_id: Id
    call_id: Id | None = None
    ids_only: bool = Field(False, description="Only project_id and id of each call.")

    def gave(self, key: str) -> bool:
        return ids.is_below(key, self.project_id, names=2)


async def list_calls(request: web.Request) -> web.Response:
    """Calls that have ended, by id, as they were logged (Weave's call shape), or only the id of each."""
    query = parse(CallsQuery, request)
    check_read(request, query.project_id)
    if query.after is None:
        # Who lists calls right after logging them means those too.
        await catching_up.seen_by_who_answers(topics.calls)
    if query.call_id is not None:
        key = ids.call_key(query.project_id, query.call_id)
        found = await cluster.owner(calls.find_call, key, query.project_id, query.call_id)
        shown = found if found is None or not query.ids_only else calls.named(query.project_id, query.call_id)
        return json_response(listing([] if shown is None else [shown], None))
    items, next_key = await collect(calls.page, query.after, query.limit, query.project_id, query.ids_only)
    return json_response(listing(items, next_key))
