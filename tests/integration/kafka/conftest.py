"""The secured Kafka that tests in this folder share."""

from collections.abc import Iterator

import pytest

from tests.kafka import KafkaCluster


@pytest.fixture(scope="session")
def secure() -> Iterator[KafkaCluster]:
    """A broker that listens for SASL and TLS too."""
    cluster = KafkaCluster(secure=True)
    try:
        yield cluster.start()
    finally:
        cluster.stop()
