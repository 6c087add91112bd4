from collections.abc import Iterator

import pytest

from tests.unit.web.client import Client, running


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """The HTTP surface, open to anyone, without a worker."""
    with running() as started:
        yield started
