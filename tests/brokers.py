"""The two logs that the service runs on. What is promised holds on both, so tests take the `broker` fixture."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from uuid import uuid4

import pytest

from tests.kafka import KafkaCluster

EMBEDDED, KAFKA = "embedded", "kafka"

# For tests of what only one of them has or does: `@embedded_only`, `@kafka_only`.
embedded_only = pytest.mark.parametrize("broker", [EMBEDDED], indirect=True)
kafka_only = pytest.mark.parametrize("broker", [KAFKA], indirect=True)

# For modules of tests that `make test` runs on both logs; those of the others on Kafka are left to `make test-kafka`.
on_both_logs = pytest.mark.on_both_logs


def mark_repeated(items: Iterable[pytest.Item]) -> None:
    """Mark as `repeated` what is shown on Kafka and on the embedded log too, unless it is to be `on_both_logs`."""
    of_test: defaultdict[str, dict[str, list[pytest.Item]]] = defaultdict(lambda: {EMBEDDED: [], KAFKA: []})
    for item in items:
        params = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
        if "broker" in params:
            of_test[item.nodeid.partition("[")[0]][str(params["broker"])].append(item)
    for shown in of_test.values():
        for item in shown[KAFKA] if shown[EMBEDDED] else ():
            if item.get_closest_marker(on_both_logs.name) is None:
                item.add_marker("repeated")


class Broker:
    """The embedded log, of which every service has its own."""

    name = EMBEDDED

    def settings(self) -> dict[str, object]:
        """Settings of a service whose log nobody else has."""
        return {}

    def clean(self) -> None:
        """Drop what the services left."""


class OnKafka(Broker):
    """A Kafka that all services share: each has topics and a group of its own, told apart by their prefix."""

    name = KAFKA

    def __init__(self, kafka: KafkaCluster) -> None:
        self.kafka = kafka
        self._prefixes: list[str] = []

    def prefix(self) -> str:
        """One that nobody else has."""
        self._prefixes.append(f"{uuid4().hex[:12]}-")
        return self._prefixes[-1]

    def settings(self) -> dict[str, object]:
        return {"broker": self.kafka.broker, "kafka_prefix": self.prefix(), "cluster_secret": "of the tests"}

    def clean(self) -> None:
        prefixes, self._prefixes = tuple(self._prefixes), []
        if prefixes:
            self.kafka.delete_topics(*[name for name in self.kafka.topics() if name.startswith(prefixes)])


@pytest.fixture(scope="module", params=[EMBEDDED, KAFKA])
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """Where services keep their log: once the embedded one, once Kafka, which is started only then."""
    made = Broker() if request.param == EMBEDDED else OnKafka(request.getfixturevalue(KAFKA))
    yield made
    made.clean()
