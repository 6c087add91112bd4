"""A secured Kafka, workers on it or another, and two on a plain one, for the tests in this folder."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kafka import KafkaCluster
from tests.service import Service


@pytest.fixture(scope="module")
def secure() -> Iterator[KafkaCluster]:
    """A broker that listens for SASL and TLS too."""
    cluster = KafkaCluster(secure=True)
    try:
        yield cluster.start()
    finally:
        cluster.stop()


@pytest.fixture
def make_worker(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Makes the worker of a test, on the Kafka that its settings name; after the test it is killed."""
    made: list[Service] = []

    def make(**settings: object) -> Service:
        made.append(Service(tmp_path / "data", kafka_prefix=f"{tmp_path.name}-", **settings))
        return made[-1]

    yield make
    for worker in made:
        worker.kill()


@pytest.fixture
def worker_settings() -> dict[str, object]:
    """What the two workers have beside the defaults; for a file of tests to say."""
    return {}


@pytest.fixture
def workers(kafka: KafkaCluster, tmp_path: Path, worker_settings: dict[str, object]) -> Iterator[list[Service]]:
    """Two workers that are ready."""
    first = Service(tmp_path / "data", broker=kafka.broker, kafka_prefix=f"{tmp_path.name}-", **worker_settings)
    both = [first, first.another()]
    for worker in both:
        worker.start()
    yield both
    for worker in both:
        worker.kill()
