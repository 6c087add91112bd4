"""A real HTTP server on a thread of its own."""

import asyncio
import ssl
import threading
from abc import ABC, abstractmethod
from typing import Self

from aiohttp import web

from tests.loopback import on_loopback


class OnThread(ABC):
    """Serves its `routes` on loopback from `start` to `stop`."""

    def __init__(self) -> None:
        self.port = 0  # set when it has started
        self.tls: ssl.SSLContext | None = None  # set before it starts, where it serves https
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._stopped = asyncio.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._serve()))

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"{'http' if self.tls is None else 'https'}://127.0.0.1:{self.port}"

    @abstractmethod
    def routes(self) -> list[web.RouteDef]:
        """What it serves."""

    def start(self) -> Self:
        self._thread.start()
        self._started.wait()
        return self

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()

    async def _serve(self) -> None:
        app = web.Application()
        app.add_routes(self.routes())
        async with on_loopback(app, self.tls) as self.port:
            self._started.set()
            await self._stopped.wait()
