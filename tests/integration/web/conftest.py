from collections.abc import Iterator

import pytest

from tests.brokers import Broker
from tests.service import Service


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, broker: Broker) -> Iterator[Service]:
    """A running service that the tests of a module share: each keeps to a project of its own."""
    service = Service(tmp_path_factory.mktemp("service") / "data", **broker.settings())
    try:
        yield service.start()
    finally:
        service.kill()
