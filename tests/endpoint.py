"""A remote scorer: a real HTTP server that takes calls by Weave's contract, plays tricks, and remembers what came."""

import asyncio
from typing import Any

from aiohttp import web

from tests.on_thread import OnThread


class Endpoint(OnThread):
    """Serves on a thread of its own; `trick` may be set at any time, and `once` for the next request alone."""

    def __init__(self) -> None:
        super().__init__()
        self.trick = ""
        self.once = ""
        self.seen: list[tuple[dict[str, str], dict[str, Any]]] = []  # headers and body of each request
        self.elsewhere = 0  # requests that came where a redirect points to

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/score", self._score), web.route("*", "/elsewhere", self._elsewhere)]

    @property
    def url(self) -> str:
        return f"{self.origin}/score"

    async def _elsewhere(self, request: web.Request) -> web.Response:
        self.elsewhere += 1
        return web.json_response({"schema_version": 1, "result": {"value": 1.0}})

    async def _score(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.seen.append((dict(request.headers), body))
        trick, self.once = self.once or self.trick, ""
        match trick:
            case "redirects":
                raise web.HTTPFound("/elsewhere")
            case "hangs":
                await asyncio.sleep(3600)
            case "is_html":
                return web.Response(text="<html>")
            case "of_another_version":
                return web.json_response({"schema_version": 2, "result": {"value": 1.0}})
            case "has_no_result":
                return web.json_response({"schema_version": 1})
            case "is_huge":
                return web.Response(text="x" * (1024**2 + 1))
            case status if status.isdigit():
                return web.Response(status=int(status), headers={"Retry-After": "1"})
        length = len(str(body["original_call"]["output"]))
        return web.json_response({"schema_version": 1, "result": {"value": length / 100, "reason": "its length"}})
