"""`GET /projects`: which projects have calls."""

from aiohttp import web

from app import ids, topics
from app.web import catching_up
from app.web.auth import USER
from app.web.paging import everything, page_of
from app.web.queries import PageQuery, parse
from app.web.responses import json_response
from tables import calls

_AT_ONCE = 1_000


class ProjectsQuery(PageQuery):
    def gave(self, key: str) -> bool:
        return ids.is_below(key, names=1)


async def list_projects(request: web.Request) -> web.Response:
    """Projects with calls that the key may use, by id."""
    query = parse(ProjectsQuery, request)
    if query.after is None:
        await catching_up.seen_by_who_answers(topics.calls)
    found: dict[str, dict[str, str]] = {}
    # All of them, since the cursor of a page must not name a project of others.
    async for items in everything(calls.projects, _AT_ONCE):
        found |= {item["project_id"]: item for item in items if request[USER].may_use(item["project_id"])}
    return json_response(page_of(found.items(), query.after, query.limit))
