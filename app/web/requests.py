"""`/score-requests`: accepted requests, how they stand, and their tasks."""

import asyncio
import time
from typing import Any

import msgspec
from aiohttp import web
from pydantic import Field

from app import ids, topics
from app.events import RequestAccepted
from app.web import catching_up
from app.web.accepted import ACCEPTED
from app.web.auth import USER, check_read
from app.web.errors import not_found
from app.web.paging import collect, collect_backwards, listing
from app.web.progress import TaskState, describe_all
from app.web.queries import Id, PageQuery, Query, parse
from app.web.responses import json_response, timestamp, timestamp_or_none
from tables import request_progress, requests

_DESCRIBED_AT_ONCE = 100
_NAMED = ("path", "request_id")


class RequestsQuery(PageQuery):
    project_id: Id | None = None
    rule_id: Id | None = Field(None, description="The requests of this rule, in place of those that clients made.")

    def gave(self, key: str) -> bool:
        return requests.is_place(key)


class TasksQuery(PageQuery):
    status: TaskState | None = None

    def gave(self, key: str) -> bool:
        return request_progress.is_place(key)


async def list_requests(request: web.Request) -> web.Response:
    """The requests of a project, or of all that the key may use, newest first."""
    query = parse(RequestsQuery, request)
    if query.project_id is not None:
        check_read(request, query.project_id)
    if query.after is None:
        # Who lists requests right after submitting one means that one too.
        await catching_up.seen_by_who_answers(topics.score_requests)
    globs = list(request[USER].projects)
    of_whom = query.project_id, globs, query.rule_id
    found, next_key = await collect_backwards(requests.page, query.after, query.limit, *of_whom)
    headers = [msgspec.convert(header, RequestAccepted) for header in found]
    items: list[dict[str, Any]] = []
    for begin in range(0, len(headers), _DESCRIBED_AT_ONCE):
        items.extend(await describe_all(headers[begin : begin + _DESCRIBED_AT_ONCE], time.time()))
        await asyncio.sleep(0)
    return json_response(listing(items, next_key))


async def get_request(request: web.Request) -> web.Response:
    """One request."""
    parse(Query, request)
    header = await find_header(request)
    (item,) = await describe_all([header], time.time())
    return json_response(item)


async def list_tasks(request: web.Request) -> web.Response:
    """The tasks of a request in the order of its chunks; those of one state with `status`."""
    query = parse(TasksQuery, request)
    header = await find_header(request)
    request_id = header.request_id
    if query.after is None:
        # The header may be known here before the tables have any of the chunks.
        await catching_up.seen_by_who_answers(topics.score_requests)
    tasks, next_key = await collect(request_progress.task_page, query.after, query.limit, request_id, query.status)
    for task in tasks:
        task["since"] = timestamp(task["since"])
        task["next_at"] = timestamp_or_none(task["next_at"])
    return json_response(listing(tasks, next_key))


async def find_header(request: web.Request) -> RequestAccepted:
    """The header of the request in the path. One that has been answered with 200 is always found.

    Raises:
        ApiError: 404, there is none, or it is another's; 503, the tables are behind the log.
    """
    request_id = request.match_info["request_id"]
    try:
        ids.check_id(request_id)
    except ids.BadId:
        raise not_found("Request", *_NAMED) from None
    header = await requests.find_header(request_id) or request.app[ACCEPTED].get(request_id)
    if header is None:
        await catching_up.seen(topics.score_requests, request_id.encode())
        header = await requests.find_header(request_id)
    if header is None:
        raise not_found("Request", *_NAMED)
    check_read(request, header.project_id, "Request", _NAMED)
    return header
