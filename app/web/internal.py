"""What workers ask each other, and what `callscore log` asks the one that has the log open.

The worker that was asked a query first has checked who may see what.
"""

import orjson
from aiohttp import web

from app import cluster, peers
from app.embedded.errors import EmbeddedLogError
from app.faust_app import app
from app.settings import get_settings
from app.web.auth import check_all_projects
from app.web.errors import not_found, unavailable
from app.web.responses import json_response


async def answer_query(request: web.Request) -> web.Response:
    """The answers of a query on partitions of this worker; see `peers.ask`."""
    if not peers.is_peer(request.headers.get(peers.SECRET)):
        raise web.HTTPForbidden
    asked = orjson.loads(await request.read())
    try:
        answers = await cluster.answer_peer(asked["query"], asked["partitions"], asked["args"], asked["kwargs"])
    except cluster.UnknownQuery:
        raise web.HTTPNotFound from None
    return json_response(answers)


async def back_up(request: web.Request) -> web.Response:
    """`POST /internal/backup`: make a checkpoint of the embedded log beside it, for who may use every project."""
    if not get_settings().embedded:
        raise not_found("Embedded log")
    check_all_projects(request, "Only a key for all projects (*) may back up the log")
    try:
        place = await app.producer.embedded.checkpoint()
    except EmbeddedLogError as error:
        raise unavailable(str(error)) from None
    return json_response({"checkpoint": place.name})
