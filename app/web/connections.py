"""Connections of clients: as many as leave open files for the log and the tables, which would have to halt without."""

import asyncio
import logging
import math
import time
from typing import cast

from aiohttp import web

logger = logging.getLogger(__name__)

_ALWAYS = 32  # connections, even if others have the files: probes, and other workers
_WARN_EVERY = 60.0  # seconds


class Connections:
    """Hands new connections to `server`; beyond the first few, closes those whose file number is `most` or higher."""

    def __init__(self, server: web.Server, most: int) -> None:
        self._server = server
        self._most = most
        self._warned_at = -math.inf

    def __call__(self) -> asyncio.Protocol:
        return _New(self)

    def take(self, transport: asyncio.Transport) -> None:
        is_high = transport.get_extra_info("socket").fileno() >= self._most
        if is_high and len(self._server.connections) >= _ALWAYS:
            self._warn()
            transport.abort()
            return
        handler = self._server()
        transport.set_protocol(handler)
        handler.connection_made(transport)

    def _warn(self) -> None:
        if time.monotonic() - self._warned_at >= _WARN_EVERY:
            self._warned_at = time.monotonic()
            logger.warning("new connections are refused: clients have as many open as there may be beside the files")


class _New(asyncio.Protocol):
    """A connection that is not handed on yet."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._connections.take(cast("asyncio.Transport", transport))  # uvloop's is no subclass
