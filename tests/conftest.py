"""Fixtures that all tests share."""

import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.asking import Asking
from tests.brokers import Broker, broker, mark_repeated
from tests.browser import page
from tests.disk import make_disk
from tests.faults.shim import shim, shim_library
from tests.in_memory import keep_in_memory
from tests.judge import Judge
from tests.judging import Judging
from tests.kafka import SKIPPED, _three_brokers, kafka, make_kafka, three_brokers
from tests.provider import Provider
from tests.service import Service

__all__ = [
    "_three_brokers",
    "broker",
    "kafka",
    "make_disk",
    "make_kafka",
    "page",
    "shim",
    "shim_library",
    "three_brokers",
]

# A shell that starts the tests in the background has SIGINT ignored, which every process that they start would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)

keep_in_memory()

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile(
    "callscore", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("callscore")


@pytest.fixture
def make_service(tmp_path: Path, broker: Broker) -> Iterator[Callable[..., Service]]:
    """Makes services (settings as keyword arguments), each on a fresh log; after the test, all that run are killed."""
    made: list[Service] = []

    def make(data_dir: Path | None = None, **settings: object) -> Service:
        name = f"data-{len(made)}"
        service = Service(data_dir or tmp_path / name, **broker.settings(), **settings)
        service.log_path = tmp_path / f"{name}.log"
        made.append(service)
        return service

    yield make
    for service in made:
        for one in (service, *service.others):
            one.kill()


@pytest.fixture
def service(make_service: Callable[..., Service]) -> Service:
    """A running service on a fresh log."""
    return make_service().start()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    mark_repeated(items)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests there was no Kafka for, and why."""
    reasons = Counter(
        str(report.longrepr[2]).split(SKIPPED)[-1]
        for report in terminalreporter.getreports("skipped")
        if isinstance(report.longrepr, tuple) and SKIPPED in report.longrepr[2]
    )
    for reason, count in reasons.items():
        terminalreporter.write_line(f"Skipped for want of a Kafka: {count} of the tests. {reason}", yellow=True)


@pytest.fixture
def provider() -> Iterator[Provider]:
    """Whom the scorers of tests/provider_scorers.py ask."""
    started = Provider().start()
    yield started
    started.stop()


@pytest.fixture
def asking(make_service: Callable[..., Service], provider: Provider, tmp_path: Path) -> Asking:
    """Starts services that ask the provider."""
    return Asking(make_service, provider, tmp_path)


@pytest.fixture
def judge() -> Iterator[Judge]:
    """Whom `llm_judge` scorers ask."""
    started = Judge().start()
    yield started
    started.stop()


@pytest.fixture
def judging(make_service: Callable[..., Service], judge: Judge, tmp_path: Path) -> Judging:
    """Starts services that ask the judge."""
    return Judging(make_service, judge, tmp_path)
