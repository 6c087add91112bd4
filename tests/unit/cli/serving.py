"""Fake servers, each on a free port of this machine."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol, TypeVar

from aiohttp import web

from tests.loopback import on_loopback


class Fake(Protocol):
    url: str

    def application(self) -> web.Application: ...


F = TypeVar("F", bound=Fake)


@asynccontextmanager
async def serving(fake: F) -> AsyncIterator[F]:
    """Serve `fake`, and set its url."""
    async with on_loopback(fake.application()) as port:
        fake.url = f"http://127.0.0.1:{port}"
        yield fake
