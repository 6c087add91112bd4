"""One service for the tests of a feature: each keeps to a project of its own."""

from collections.abc import Iterator

import pytest

from tests.brokers import Broker
from tests.service import Service


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, broker: Broker) -> Iterator[Service]:
    service = Service(tmp_path_factory.mktemp("service") / "data", scorers="tests.plugin_scorers", **broker.settings())
    try:
        yield service.start()
    finally:
        service.kill()
