from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from tests.service import free_port

from .command import Command
from .fake_service import FakeService


@pytest.fixture
async def service() -> AsyncIterator[FakeService]:
    fake = FakeService()
    runner = web.AppRunner(fake.application(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield fake
    await runner.cleanup()


@pytest.fixture
def command(tmp_path: Path) -> Command:
    return Command(tmp_path)


@pytest.fixture
def callscore(command: Command, service: FakeService) -> Command:
    """The command, told where the service is."""
    command.env["CALLSCORE_URL"] = service.url
    return command


@pytest.fixture
def nobody() -> str:
    """A URL where nothing answers."""
    return f"http://127.0.0.1:{free_port()}"
