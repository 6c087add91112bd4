"""Connections of clients: as many as leave open files for the log and the tables, which would have to halt without."""

import asyncio
import logging
from typing import cast

from aiohttp import web

logger = logging.getLogger(__name__)


class Connections:
    """Hands new connections to `server`, and closes those whose socket is file number `most` or higher."""

    def __init__(self, server: web.Server, most: int) -> None:
        self._server = server
        self._most = most
        self._refuses = False

    def __call__(self) -> asyncio.Protocol:
        return _New(self)

    def take(self, transport: asyncio.Transport) -> None:
        refuses = transport.get_extra_info("socket").fileno() >= self._most
        if refuses and not self._refuses:
            logger.warning("new connections are refused: clients have as many open as there may be beside the files")
        self._refuses = refuses
        if refuses:
            transport.abort()
            return
        handler = self._server()
        transport.set_protocol(handler)
        handler.connection_made(transport)


class _New(asyncio.Protocol):
    """A connection that is not handed on yet."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._connections.take(cast("asyncio.Transport", transport))  # uvloop's is no subclass
