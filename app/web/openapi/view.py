"""`GET /openapi.json`."""

import asyncio
from functools import cache

import orjson
from aiohttp import web


async def openapi(request: web.Request) -> web.Response:
    """The description, OpenAPI 3.1."""
    return web.Response(body=await asyncio.to_thread(_encoded), content_type="application/json")


@cache
def _encoded() -> bytes:
    # Made when it is first asked for, in a thread: it takes as long as a tenth of the service's start.
    from app.web.openapi.document import SPEC

    return orjson.dumps(SPEC)
