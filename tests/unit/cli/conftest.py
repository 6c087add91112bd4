from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.service import free_port

from .command import Command
from .fake_service import FakeService
from .serving import serving


@pytest.fixture
async def service() -> AsyncIterator[FakeService]:
    async with serving(FakeService()) as fake:
        yield fake


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
