"""Fixtures that all tests share."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.service import Service


@pytest.fixture
def make_service(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Makes services (settings as keyword arguments); whatever still runs at the end of the test is killed."""
    made: list[Service] = []

    def make(**settings: object) -> Service:
        service = Service(tmp_path / f"data-{len(made)}", **settings)
        made.append(service)
        return service

    yield make
    for service in made:
        service.kill()


@pytest.fixture
def service(make_service: Callable[..., Service]) -> Service:
    """A running service on a fresh embedded log."""
    return make_service().start()
