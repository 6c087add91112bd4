from collections.abc import Iterator
from pathlib import Path

import pytest

from app.keys import KeyFile
from tests.unit.web.client import Client, running


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """The HTTP surface, open to anyone, without a worker."""
    with running() as started:
        yield started


@pytest.fixture
def key_path(tmp_path: Path) -> Path:
    """The key file of `locked`, as yet without a key."""
    path = tmp_path / "keys"
    path.touch()
    return path


@pytest.fixture
def locked(key_path: Path) -> Iterator[Client]:
    """The HTTP surface for who has a key."""
    with running(keys=KeyFile(key_path)) as client:
        yield client
