"""A real Kafka for tests: brokers that are started, killed, paused and asked, and the fixtures that lend them.

Everything here is synchronous and may be called from inside an event loop, which it then holds up.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import pytest

from kafka.broker import Runtime
from kafka.cluster import Cluster, make_archive
from kafka.jars import KafkaMissing
from tests.kafka_topics import KafkaTopics

ADDRESS = "CALLSCORE_TEST_KAFKA"
REQUIRED = "CALLSCORE_REQUIRE_KAFKA"
SKIPPED = "no Kafka: "


@cache
def runtime() -> Runtime | str:
    """What brokers are run with, or why none can be: asked once a test run, since Maven may take long."""
    try:
        found = Runtime()
    except KafkaMissing as error:
        return str(error)
    make_archive(found)
    return found


class KafkaCluster(KafkaTopics):
    """Brokers of our own, numbered from 1, or with `address` those that somebody else runs.

    With `secure` they also listen for SASL (`USERS`), for TLS and for both. `settings` are lines for server.properties.
    """

    def __init__(self, address: str = "", secure: bool = False, settings: Mapping[str, str] | None = None) -> None:
        self._address = address
        self._secure = secure
        self._settings = settings
        self._cluster: Cluster | None = None
        self._folder: Path | None = None

    @property
    def own(self) -> bool:
        """Whether its brokers may be killed, and so on."""
        return not self._address

    @property
    def cluster(self) -> Cluster:
        """The brokers themselves."""
        assert self._cluster is not None, f"started by {ADDRESS}, or not at all"
        return self._cluster

    @property
    def address(self) -> str:
        """Where clients find it: `host:port,host:port`."""
        return self._address or self.cluster.address()

    @property
    def broker(self) -> str:
        """The same as a value of CALLSCORE_BROKER."""
        return "kafka://" + self.address.replace(",", ";")

    @property
    def trusted(self) -> Path:
        """The PEM file with the certificate that its TLS listeners show."""
        assert self.cluster.trusted is not None, "not secure"
        return self.cluster.trusted

    def secure_address(self, listener: str) -> str:
        """The address of the listener SASL, TLS or SASL_TLS."""
        return self.cluster.address(listener)

    def start(self, brokers: int = 1) -> "KafkaCluster":
        """Start the brokers in a fresh folder and wait until each serves."""
        found = need_own_brokers()
        self._folder = Path(tempfile.mkdtemp(prefix="kafka-"))
        self._cluster = Cluster(self._folder, brokers, secure=self._secure, settings=self._settings, runtime=found)
        self._cluster.start()
        return self

    def stop(self) -> None:
        """End all brokers and drop what they kept; nobody asks them again, so they are not asked to stop."""
        if self._cluster is not None:
            self._cluster.kill()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    # Brokers one by one.

    def kill(self, number: int = 1) -> None:
        """End a broker as a power cut would."""
        self.cluster.brokers[number].kill()

    def shut_down(self, number: int = 1) -> None:
        """Stop a broker cleanly: it hands over its partitions first."""
        self.cluster.brokers[number].terminate()
        self.cluster.brokers[number].wait_ended()

    def restart(self, number: int = 1) -> None:
        """Start a broker that is down; stop one that runs first, cleanly. It serves when this returns."""
        self.cluster.restart(number)

    def pause(self, number: int = 1) -> None:
        """Stop a broker answering, with its connections open."""
        self.cluster.brokers[number].pause()

    def resume(self, number: int = 1) -> None:
        """Let a paused broker go on."""
        self.cluster.brokers[number].resume()

    def heal(self) -> None:
        """Resume and start whatever does not run, and wait until all replicas are in sync."""
        self.cluster.heal()
        self.wait_in_sync()

    def log(self, number: int = 1) -> str:
        """The end of a broker's log."""
        return self.cluster.brokers[number].tail()


def _missing(reason: str) -> NoReturn:
    """Skip, with the reason in sight; or fail, where a Kafka is known to be had."""
    if os.environ.get(REQUIRED) == "1":
        pytest.fail(f"{REQUIRED}=1, and there is no Kafka: {reason}", pytrace=False)
    pytest.skip(f"{SKIPPED}{reason}")


def need_own_brokers() -> Runtime:
    """What to run them with; if none can be started here, the test is skipped, or fails where that is asked for."""
    found = runtime()
    return _missing(found) if isinstance(found, str) else found


@pytest.fixture(scope="session")
def kafka() -> Iterator[KafkaCluster]:
    """One Kafka for all tests: the one that CALLSCORE_TEST_KAFKA names, else a broker of our own."""
    address = os.environ.get(ADDRESS, "")
    if address:
        yield KafkaCluster(address)
        return
    cluster = KafkaCluster()
    try:
        yield cluster.start()
    finally:
        cluster.stop()


@pytest.fixture(scope="module")  # no longer: brokers that nobody uses take a tenth of a core
def _three_brokers() -> Iterator[KafkaCluster]:
    cluster = KafkaCluster()
    try:
        yield cluster.start(3)
    finally:
        cluster.stop()


@pytest.fixture
def three_brokers(_three_brokers: KafkaCluster) -> Iterator[KafkaCluster]:
    """Three brokers of our own, to be killed and paused: all of them run again when the next test gets them."""
    _three_brokers.heal()
    yield _three_brokers
    _three_brokers.heal()


@pytest.fixture
def make_kafka() -> Iterator[Callable[..., KafkaCluster]]:
    """Makes clusters for one test (`brokers`, and what KafkaCluster takes); they are gone after it."""
    made: list[KafkaCluster] = []

    def make(brokers: int = 1, **options: Any) -> KafkaCluster:
        cluster = KafkaCluster(**options)
        made.append(cluster)
        return cluster.start(brokers)

    yield make
    for cluster in made:
        cluster.stop()
