"""An endpoint that answers as a test wants."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from aiohttp import web
from yarl import URL

from tests.loopback import on_loopback


class Asked(NamedTuple):
    """A request. `path` has the query; `body` is decoded."""

    path: str
    headers: Mapping[str, str]
    body: Any


@asynccontextmanager
async def answering(answer: Callable[[Asked], web.Response]) -> AsyncIterator[URL]:
    """Serves at this URL, and below it."""

    async def handler(request: web.Request) -> web.Response:
        return answer(Asked(str(request.rel_url), request.headers, await request.json()))

    app = web.Application()
    app.router.add_post("/{path:.*}", handler)
    async with on_loopback(app) as port:
        yield URL(f"http://127.0.0.1:{port}/")
