"""Resolves names of hosts on threads of its own, so that a silent name server holds up no lookup of anybody else.

uvloop makes two lookups at a time in the whole process, and one that nobody waits for any more goes on.
"""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor

from aiohttp.abc import AbstractResolver, ResolveResult

_AT_ONCE = 8  # lookups of different hosts; aiohttp joins those of the same one
_NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV


class Resolver(AbstractResolver):
    """Resolves names as the system does."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_AT_ONCE, "resolver")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        how = (family, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG)
        running = asyncio.get_running_loop().run_in_executor(self._threads, socket.getaddrinfo, host, port, *how)
        return [
            ResolveResult(hostname=host, host=str(address[0]), port=port, family=family_, proto=proto, flags=_NUMERIC)
            for family_, _, proto, _, address in await running
        ]

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
