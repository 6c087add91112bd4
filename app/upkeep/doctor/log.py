"""The log: the lock, format and topics of the embedded one, or Kafka and its topics."""

import asyncio
from collections.abc import Iterator

from app.client.errors import CommandError
from app.client.text import plural
from app.embedded.errors import EmbeddedLogError, LogLocked, PartitionCountMismatch
from app.embedded.store import is_log
from app.embedded.view import View, is_locked
from app.kafka.cluster import Cluster, Found, look
from app.kafka_cluster import kafka_cluster
from app.settings import Settings
from app.upkeep import kafka, paths, topic_names
from app.upkeep.doctor import data_dir
from app.upkeep.doctor.finding import Finding, ok, warning, wrong
from tables.kafka_topics import kafka_topics

_LOG = "log"
_KAFKA = "Kafka"


def findings(settings: Settings) -> Iterator[Finding]:
    """Check the log of the settings."""
    yield from _embedded(settings) if settings.embedded else _in_kafka(settings)


def _embedded(settings: Settings) -> Iterator[Finding]:
    path = paths.log_path(settings)
    if not path.is_relative_to(settings.data_dir.absolute()):
        yield from data_dir.disk(_LOG, path)
    if not is_log(path):
        yield ok(_LOG, f"{path} does not exist yet; the first start creates it.")
        return
    in_use = is_locked(path)
    if in_use and not data_dir.holders(settings.data_dir):
        yield wrong(_LOG, LogLocked(path))
    try:
        with View(path) as view:
            counts = {name: len(topic.partitions) for name, topic in view.topics.items()}
    except EmbeddedLogError as error:
        yield wrong(_LOG, error)
        return
    for name in topic_names.PRIMARY.values():
        if counts.get(name, settings.partitions) != settings.partitions:
            yield wrong(_LOG, PartitionCountMismatch(name, counts[name], settings.partitions))
            return
    used = "is used by that worker" if in_use else "is not in use"
    yield ok(_LOG, f"{path} is readable, has {plural(settings.partitions, 'partition')} and {used}.")


def _in_kafka(settings: Settings) -> Iterator[Finding]:
    cluster = kafka_cluster(settings, kafka_topics())
    try:
        with kafka.as_command_errors():
            found = asyncio.run(look(cluster))
    except CommandError as error:
        yield wrong(_KAFKA, error)
        return
    yield ok(_KAFKA, f"Running at {', '.join(cluster.servers)}, with {plural(found.brokers, 'broker')}.")
    yield from _topics(cluster, found)


def _topics(cluster: Cluster, found: Found) -> Iterator[Finding]:
    replicas = cluster.replicas(found.brokers)
    in_sync = cluster.in_sync(found.brokers)
    missing = len(cluster.topics) - len(found.topics)
    if replicas < in_sync:
        yield wrong(
            _KAFKA,
            f"With {plural(replicas, 'replica')}, {in_sync} cannot be in sync, so nothing could be written. "
            "Lower CALLSCORE_KAFKA_MIN_INSYNC, or raise CALLSCORE_KAFKA_REPLICATION",
        )
    if missing and replicas > found.brokers:
        yield wrong(
            _KAFKA,
            f"Topics with {replicas} replicas cannot be created on {plural(found.brokers, 'broker')}. "
            "Lower CALLSCORE_KAFKA_REPLICATION, or start more brokers",
        )
    others = sorted(name for name, topic in found.topics.items() if topic.replicas != replicas)
    if others:
        yield warning(
            _KAFKA,
            f"{_some(others)} has {plural(found.topics[others[0]].replicas, 'replica')}, not {replicas}: the setting "
            "applies to new topics only. Change existing ones with kafka-reassign-partitions.sh.",
        )
    lax = sorted(name for name, topic in found.topics.items() if topic.needs_too_few(in_sync))
    if lax:
        yield warning(
            _KAFKA,
            f"{_some(lax)} has min.insync.replicas={found.topics[lax[0]].needed}, not {in_sync}: the setting applies "
            "to new topics only. Change existing ones with kafka-configs.sh.",
        )
    if found.configs_hidden:
        yield warning(
            _KAFKA,
            "The settings of topics may not be read, so it is unknown whether Kafka keeps all records. "
            "Allow this user DescribeConfigs on them.",
        )
    behind = sorted(name for name, topic in found.topics.items() if topic.in_sync < (topic.needed or in_sync))
    if behind:
        yield wrong(
            _KAFKA,
            f"{_some(behind)} has too few replicas in sync to be written. Check the brokers of Kafka",
        )
    made = f"; the next start creates {missing} of them" if missing else ""
    yield ok(_KAFKA, f"{plural(len(cluster.topics), 'topic')} of {plural(cluster.partitions, 'partition')}{made}.")


def _some(topics: list[str]) -> str:
    more = f" (and {len(topics) - 1} more)" if topics[1:] else ""
    return f"The topic {topics[0]}{more}"
