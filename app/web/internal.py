"""`POST /internal/query`: what workers ask each other. The worker that was asked first has checked who may see what."""

import orjson
from aiohttp import web

from app import cluster, peers
from app.web.errors import Handler
from app.web.responses import json_response


async def answer_query(request: web.Request) -> web.Response:
    """The answers of a query on partitions of this worker; see `peers.ask`."""
    if not peers.is_peer(request.headers.get(peers.SECRET)):
        raise web.HTTPForbidden
    asked = orjson.loads(await request.read())
    answers = await cluster.answer_peer(asked["query"], asked["partitions"], asked["args"], asked["kwargs"])
    return json_response(answers)


@web.middleware
async def note_unanswered(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Say in a header which partitions are missing from an answer that was gathered from all workers."""
    noted: set[int] = set()
    token = cluster.unanswered.set(noted)
    try:
        response = await handler(request)
    finally:
        cluster.unanswered.reset(token)
    if noted:
        response.headers["Callscore-Unanswered-Partitions"] = ",".join(str(partition) for partition in sorted(noted))
    return response
