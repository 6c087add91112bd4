"""The secured Kafka that tests in this folder share."""

from collections.abc import Iterator

import pytest

from tests.kafka import KafkaCluster, need_own_brokers


@pytest.fixture(scope="session")
def secure() -> Iterator[KafkaCluster]:
    """A broker that listens for SASL and TLS too."""
    need_own_brokers()
    cluster = KafkaCluster(secure=True)
    try:
        yield cluster.start()
    finally:
        cluster.stop()
