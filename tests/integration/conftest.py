"""The running service that the tests of a module share."""

from collections.abc import Iterator

import pytest

from tests.brokers import Broker
from tests.service import Service


@pytest.fixture(scope="module")
def shared(
    tmp_path_factory: pytest.TempPathFactory, broker: Broker, request: pytest.FixtureRequest
) -> Iterator[Service]:
    """A running service that the tests of a module share: each keeps to a project of its own.

    Its settings beside the scorers of tests are the module's SETTINGS.
    """
    given = {"scorers": "tests.plugin_scorers"} | getattr(request.module, "SETTINGS", {})
    service = Service(tmp_path_factory.mktemp("service") / "data", **broker.settings(), **given)
    try:
        yield service.start()
    finally:
        service.kill()
