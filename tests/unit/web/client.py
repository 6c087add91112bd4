"""The HTTP surface without a worker behind it, for what is answered before a table is asked."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import orjson
from aiohttp.test_utils import TestClient, TestServer

from app.keys import KeyFile
from app.scorers import Registry
from app.web.server import create_app


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.raw)


class Client:
    """Sends requests one at a time."""

    def __init__(self, runner: asyncio.Runner, client: Any) -> None:
        self._runner = runner
        self._client = client

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """`body` is sent as it is if bytes, else as JSON; in header names `_` stands for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None and not isinstance(body, bytes):
            body = orjson.dumps(body)
        if body is not None:
            named.setdefault("Content-Type", "application/json")
        return self._runner.run(self._request(method, path, body, named))

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, **headers)

    def post(self, path: str, body: Any, **headers: str) -> Answer:
        return self.request("POST", path, body, **headers)

    async def _request(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        skipped = ["Content-Type"]  # aiohttp would make one up
        async with self._client.request(
            method, path, data=body, headers=headers, skip_auto_headers=skipped
        ) as response:
            return Answer(response.status, dict(response.headers), await response.read())


@contextmanager
def running(registry: Registry | None = None, keys: KeyFile | None = None) -> Iterator[Client]:
    """The application on a free loopback port."""
    with asyncio.Runner() as runner:

        async def start() -> Any:
            client = TestClient(TestServer(create_app(registry or Registry.load(), keys)))
            await client.start_server()
            return client

        client = runner.run(start())
        try:
            yield Client(runner, client)
        finally:
            runner.run(client.close())
