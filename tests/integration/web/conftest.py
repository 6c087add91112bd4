from collections.abc import Iterator

import pytest

from tests.service import Service


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A running service that the tests of a module share: each keeps to a project of its own."""
    service = Service(tmp_path_factory.mktemp("service") / "data")
    try:
        yield service.start()
    finally:
        service.kill()
