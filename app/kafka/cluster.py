"""The Kafka cluster that a worker uses: connecting to it, creating the topics, and checking those that are there."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.conn import create_conn
from aiokafka.errors import (
    KafkaConnectionError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    for_code,
)

from .security import Security

log = logging.getLogger(__name__)

MESSAGE_BYTES = 2 * 1024 * 1024 + 64 * 1024

_IN_SYNC = "min.insync.replicas"
_LARGEST = "max.message.bytes"
_LARGE = {_LARGEST: str(MESSAGE_BYTES)}
# With another timestamp type an import would give all records its own time.
KEPT_FOR_EVER = {
    "cleanup.policy": "delete",
    "retention.ms": "-1",
    "retention.bytes": "-1",
    "message.timestamp.type": "CreateTime",
    **_LARGE,
}
COMPACTED = {"cleanup.policy": "compact", **_LARGE}


class TopicMismatch(Exception):
    """A topic exists with another number of partitions; the message says what to do."""

    def __init__(self, topic: str, existing: int, wanted: int) -> None:
        super().__init__(
            f"Kafka's topic {topic} has {existing} partitions and CALLSCORE_PARTITIONS is {wanted}: the count is fixed "
            f"for the life of a log, so set CALLSCORE_PARTITIONS={existing}, or move to a new log with: "
            "callscore log export, callscore log import."
        )


class TopicUnsafe(Exception):
    """Kafka would delete, refuse or change records of these topics that callscore needs; the message says what to do.

    `topics` is topic → the settings that it should have, of those that differ.
    """

    def __init__(self, topics: Mapping[str, Mapping[str, str]], servers: Sequence[str]) -> None:
        first = min(topics)
        others = f" (and those of {len(topics) - 1} more topics)" if topics.keys() - {first} else ""
        wanted = ",".join(f"{name}={value}" for name, value in topics[first].items())
        super().__init__(
            f"With the settings of the topic {first}, Kafka does not keep all that callscore needs. "
            f"Change them{others} with: "
            f"kafka-configs.sh --bootstrap-server {servers[0]} --alter --entity-type topics --entity-name {first} "
            f"--add-config {wanted}"
        )


class ImportUnfinished(Exception):
    """An import into Kafka has not been completed; the message says what to do."""

    def __init__(self, topic: str) -> None:
        super().__init__(
            f"An import into Kafka is at work or was broken off, so its topics are incomplete (it left {topic}): "
            "delete them and import again, or set another CALLSCORE_KAFKA_PREFIX."
        )


@dataclass(frozen=True)
class Cluster:
    """The Kafka cluster that a worker uses, and how it wants its topics there."""

    servers: Sequence[str]
    security: Security
    partitions: int
    replication: int | None = None  # None: one replica a broker, at most three
    min_insync: int | None = None  # None: two where there are three replicas, else one
    topics: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # name → config
    prefix: str = ""

    def replicas(self, brokers: int) -> int:
        """How many replicas each topic should have."""
        return self.replication or min(3, brokers)

    def in_sync(self, brokers: int) -> int:
        """How many replicas must be in sync before anything can be written."""
        return self.min_insync or (2 if self.replicas(brokers) > 2 else 1)


class Copies(NamedTuple):
    """How many replicas a topic has and how many are in sync, each in the partition with the fewest."""

    replicas: int
    in_sync: int
    needed: int | None  # in sync to be written, by the topic's settings; None if these may not be read

    def needs_too_few(self, wanted: int) -> bool:
        """Whether it takes records that fewer of its replicas have than wanted."""
        return self.needed is not None and self.needed < min(wanted, self.replicas)


class Found(NamedTuple):
    """What is in Kafka: how many brokers, and which of the cluster's topics."""

    brokers: int
    topics: Mapping[str, Copies]

    @property
    def configs_hidden(self) -> bool:
        """Whether the settings of topics may not be read."""
        return any(topic.needed is None for topic in self.topics.values())


def marker(prefix: str) -> str:
    """The topic that exists as long as an import into the topics with this prefix is incomplete."""
    return f"{prefix}callscore-import-unfinished"


async def prepare(admin: AIOKafkaAdminClient, cluster: Cluster, *, importing: bool = False) -> None:
    """Create the topics that are missing and check the others.

    Raises:
        TopicMismatch: a topic has another number of partitions.
        TopicUnsafe: Kafka would delete, refuse or change records.
        ImportUnfinished: an import has not been completed, and this is not it (`importing`).
        KafkaError, OSError: Kafka does not answer, or refuses.
    """
    if not importing:
        await check_no_import(admin, marker(cluster.prefix))
    brokers = len((await admin.describe_cluster())["brokers"])
    there = await create(admin, cluster, brokers)
    described = await wait_for_partitions(admin, cluster)
    needed = await check_configs(admin, cluster, there)
    warn(cluster, _found(brokers, {name: described[name] for name in there}, needed))


def warn(cluster: Cluster, found: Found) -> None:
    """Log what is not as wanted of topics that were there, though Kafka keeps what it must."""
    if found.configs_hidden:
        log.warning(
            "this worker may not read the settings of topics, so Kafka may delete or refuse records that it needs"
        )
    replicas, in_sync = cluster.replicas(found.brokers), cluster.in_sync(found.brokers)
    few = {name: topic.replicas for name, topic in found.topics.items() if topic.replicas < replicas}
    if few:
        log.warning(
            "Kafka has %d brokers, and these topics have fewer replicas than %d: %s. Add replicas with "
            "kafka-reassign-partitions.sh, or set CALLSCORE_KAFKA_REPLICATION",
            found.brokers,
            replicas,
            _listed(few),
        )
    lax = {name: topic.needed for name, topic in found.topics.items() if topic.needs_too_few(in_sync)}
    if lax:
        log.warning(
            "these topics can be written while fewer than %d replicas are in sync: %s. Change their "
            "min.insync.replicas with kafka-configs.sh, or set CALLSCORE_KAFKA_MIN_INSYNC",
            in_sync,
            _listed(lax),
        )


def _listed(topics: Mapping[str, int | None]) -> str:
    return ", ".join(f"{name} ({count})" for name, count in sorted(topics.items()))


async def look(cluster: Cluster) -> Found:
    """What is already there of what `prepare` would create; creates nothing.

    Raises:
        TopicMismatch, TopicUnsafe, ImportUnfinished, KafkaError, OSError: as `prepare`.
    """
    async with connected(cluster) as admin:
        await check_no_import(admin, marker(cluster.prefix))
        brokers = len((await admin.describe_cluster())["brokers"])
        there = sorted(set(await admin.list_topics()) & set(cluster.topics))
        described = {topic["topic"]: topic for topic in await admin.describe_topics(there)} if there else {}
        check_described(described, cluster)
        needed = await check_configs(admin, cluster, there)
    return _found(brokers, described, needed)


def _found(brokers: int, described: Mapping[str, Mapping[str, Any]], needed: Mapping[str, int]) -> Found:
    return Found(brokers, {name: _copies(topic["partitions"], needed.get(name)) for name, topic in described.items()})


def _copies(partitions: Sequence[Mapping[str, Any]], needed: int | None) -> Copies:
    of_each = [(len(one["replicas"]), len(one["isr"])) for one in partitions]
    replicas, in_sync = zip(*of_each, strict=True) if of_each else ([0], [0])
    return Copies(min(replicas), min(in_sync), needed)


@asynccontextmanager
async def connected(cluster: Cluster) -> AsyncIterator[AIOKafkaAdminClient]:
    """A connected admin client. Raises KafkaError, which says why it cannot connect."""
    admin = AIOKafkaAdminClient(
        bootstrap_servers=list(cluster.servers), request_timeout_ms=10_000, **cluster.security.arguments()
    )
    try:
        try:
            await admin.start()
        except KafkaConnectionError:
            await _raise_cause(cluster)
            raise
        yield admin
    finally:
        await admin.close()


async def check_no_import(admin: AIOKafkaAdminClient, marker: str) -> None:
    """Raise ImportUnfinished if the topic that marks one exists."""
    if marker in await admin.list_topics():
        raise ImportUnfinished(marker)


async def _raise_cause(cluster: Cluster) -> None:
    """Connect to each server by itself, as the admin client does not say why it could not.

    Raises:
        KafkaError: why the first of them cannot be used.
    """
    for server in cluster.servers:
        host, _, port = server.rpartition(":")
        try:
            connection = await create_conn(
                host.strip("[]"), int(port), request_timeout_ms=10_000, **cluster.security.arguments()
            )
        except OSError as error:
            raise KafkaConnectionError(f"{server}: {str(error) or type(error).__name__}") from error
        connection.close()


async def create(admin: AIOKafkaAdminClient, cluster: Cluster, brokers: int) -> list[str]:
    """Create the missing topics; another worker may create them at the same time. Returns those that were there."""
    there = sorted(set(await admin.list_topics()) & set(cluster.topics))
    common = {_IN_SYNC: str(cluster.in_sync(brokers))}
    missing = [
        NewTopic(name, cluster.partitions, cluster.replicas(brokers), topic_configs={**config, **common})
        for name, config in cluster.topics.items()
        if name not in there
    ]
    response = await admin.create_topics(missing) if missing else None
    for topic, code, *_ in response.topic_errors if response else ():
        if code not in (0, TopicAlreadyExistsError.errno):
            raise for_code(code)(f"topic {topic} cannot be created")
    return there


async def check_configs(admin: AIOKafkaAdminClient, cluster: Cluster, there: Sequence[str]) -> dict[str, int]:
    """Check that Kafka keeps what must be kept of topics that exist.

    Returns how many replicas must be in sync for each of them to be written, without topics whose settings may not be
    read.

    Raises:
        TopicUnsafe: it does not.
        KafkaError: Kafka does not answer, or refuses.
    """
    asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in there]
    answers = await admin.describe_configs(asked) if asked else []
    unsafe, needed = {}, {}
    for code, _, _, topic, entries in (resource for answer in answers for resource in answer.resources):
        if code == TopicAuthorizationFailedError.errno:
            continue
        if code:
            raise for_code(code)(f"the settings of topic {topic} cannot be read")
        has = {name: value for name, value, *_ in entries}
        needed[topic] = int(has[_IN_SYNC])
        config = cluster.topics[topic]
        if wanted := {name: value for name, value in config.items() if not _serves(name, has.get(name), value)}:
            unsafe[topic] = wanted
    if unsafe:
        raise TopicUnsafe(unsafe, cluster.servers)
    return needed


def _serves(name: str, value: str | None, wanted: str) -> bool:
    """Whether a setting of a topic is as wanted; records may be larger."""
    if name == _LARGEST and value is not None:
        return int(value) >= int(wanted)
    return value == wanted


async def wait_for_partitions(admin: AIOKafkaAdminClient, cluster: Cluster) -> Mapping[str, Mapping[str, Any]]:
    """Wait until all topics have their partitions; returns what Kafka says about each.

    Raises TopicMismatch, TopicAuthorizationFailedError.
    """
    while True:
        described = {topic["topic"]: topic for topic in await admin.describe_topics(list(cluster.topics))}
        counts = check_described(described, cluster)
        if all(counts.get(name) for name in cluster.topics):
            return described
        await asyncio.sleep(0.2)  # the brokers learn of a new topic one by one


def check_described(described: Mapping[str, Mapping[str, Any]], cluster: Cluster) -> dict[str, int]:
    """How many partitions each topic has; 0 until the broker knows of it.

    Raises TopicMismatch, TopicAuthorizationFailedError.
    """
    for name, topic in described.items():
        if topic["error_code"] == TopicAuthorizationFailedError.errno:
            raise TopicAuthorizationFailedError(f"topic {name} may not be used")
    counts = {name: len(described[name]["partitions"]) for name in cluster.topics if name in described}
    for name, count in counts.items():
        if count not in (0, cluster.partitions):
            raise TopicMismatch(name, count, cluster.partitions)
    return counts


def explain(error: Exception) -> str:
    """A KafkaError or OSError in words."""
    name = type(error).__name__
    text = str(error).removeprefix(f"{name}: ")
    return f"{text} ({name})" if text and text != name else name
