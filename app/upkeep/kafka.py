"""The log in Kafka: reading it, and making a new one."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, for_code

from app.client.errors import CommandError
from app.embedded.record import Record
from app.kafka import cluster
from app.kafka.members import wait_until_gone
from app.kafka_cluster import kafka_cluster, security
from app.settings import Settings
from app.upkeep import topic_names
from tables.kafka_topics import kafka_topics

_LEAVE_SECONDS = 15.0  # a worker that has stopped is a member of its group until its session times out
_UNACKNOWLEDGED = 5_000  # records
_LARGEST = 4 * 1024**2


@contextmanager
def as_command_errors() -> Iterator[None]:
    """Raise errors of Kafka and of its topics as CommandError."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # its exceptions say the same
    try:
        yield
    except (cluster.TopicMismatch, cluster.TopicUnsafe, cluster.ImportUnfinished) as error:
        raise CommandError(str(error)) from None
    except KafkaError as error:
        raise CommandError(f"Kafka cannot be used: {cluster.explain(error)}.") from None


class KafkaSource:
    """The primary topics in Kafka."""

    def __init__(self, consumer: AIOKafkaConsumer, ends: Mapping[str, list[int]], settings: Settings) -> None:
        self._consumer = consumer
        self._ends = ends
        self._settings = settings
        self.partitions = max(len(found) for found in ends.values())

    async def ends(self) -> dict[str, list[int]]:
        """The offset after the last record of each partition, by topic."""
        return dict(self._ends)

    async def committed(self) -> dict[str, list[int]]:
        """The offset that the workers have committed in each partition, by topic."""
        async with _admin(self._settings) as admin:
            found = await admin.list_consumer_group_offsets(self._settings.group)
        offsets = {(tp.topic, tp.partition): int(its.offset) for tp, its in found.items()}
        return {
            topic: [max(0, offsets.get((topic_names.PRIMARY[topic], number), 0)) for number in range(len(ends))]
            for topic, ends in self._ends.items()
        }

    async def records(
        self, topic: str, partition: int, start: int = 0, end: int | None = None
    ) -> AsyncIterator[Record]:
        """The records of a partition, from offset `start` to before `end`."""
        if partition >= len(self._ends[topic]):
            return
        end = self._ends[topic][partition] if end is None else min(end, self._ends[topic][partition])
        tp = TopicPartition(topic_names.PRIMARY[topic], partition)
        self._consumer.assign([tp])
        self._consumer.seek(tp, start)
        while await self._consumer.position(tp) < end:
            for found in (await self._consumer.getmany(tp, timeout_ms=1000)).get(tp, ()):
                headers = [(name, content) for name, content in found.headers]
                if found.offset < end:
                    yield Record(topic, partition, found.offset, found.timestamp, found.key, found.value, headers)


@asynccontextmanager
async def source(settings: Settings, *, alone: bool = True) -> AsyncIterator[KafkaSource]:
    """The log of the settings in Kafka. With `alone`, no worker may be using it.

    Raises:
        CommandError: workers are connected, or there is no log.
        KafkaError: Kafka does not answer.
    """
    async with _admin(settings) as admin:
        await cluster.check_no_import(admin, _marker(settings))
        if alone:
            await check_nobody_works(admin, settings)
        found = await _ends(admin, settings, topic_names.PRIMARY.values())
    if not found:
        raise CommandError("Kafka has no topics of callscore with this CALLSCORE_KAFKA_PREFIX.")
    ends = {topic: found.get(name, []) for topic, name in topic_names.PRIMARY.items()}
    consumer = AIOKafkaConsumer(**_arguments(settings), max_partition_fetch_bytes=_LARGEST, auto_offset_reset="none")
    await consumer.start()
    await asyncio.sleep(0)  # closing it cancels a task of its own, which must have had a turn before
    try:
        yield KafkaSource(consumer, ends, settings)
    finally:
        await consumer.stop()


class KafkaTarget:
    """Primary topics that are being written."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer
        self._sent: list[asyncio.Future[Any]] = []

    async def put(self, record: Record) -> None:
        """Send to the record's topic and partition. Raises the KafkaError of an earlier record."""
        self._sent.append(
            await self._producer.send(
                topic_names.PRIMARY[record.topic],
                record.value,
                key=record.key,
                partition=record.partition,
                timestamp_ms=record.timestamp,
                headers=record.headers,
            )
        )
        if len(self._sent) >= _UNACKNOWLEDGED:
            await self.acknowledged()

    async def acknowledged(self) -> None:
        """Wait until Kafka has acknowledged every record. Raises KafkaError if it refuses one."""
        sent, self._sent = self._sent, []
        await asyncio.gather(*sent)


@asynccontextmanager
async def target(settings: Settings) -> AsyncIterator[KafkaTarget]:
    """A new log to write to. Until it is complete a marker topic keeps workers from starting on it.

    Raises:
        CommandError: workers are connected, or there are records already.
        TopicMismatch: there are topics with another number of partitions.
        KafkaError: Kafka does not answer, or refuses.
    """
    async with _admin(settings) as admin:
        await cluster.check_no_import(admin, _marker(settings))
        await check_nobody_works(admin, settings)
        await _check_empty(admin, settings)
        await _create_marker(admin, settings)
        topics = dict.fromkeys(topic_names.PRIMARY.values(), cluster.KEPT_FOR_EVER)
        await cluster.prepare(admin, kafka_cluster(settings, topics), importing=True)
        producer = AIOKafkaProducer(
            **_arguments(settings), acks="all", enable_idempotence=True, max_request_size=_LARGEST, linger_ms=5
        )
        await producer.start()
        try:
            made = KafkaTarget(producer)
            yield made
            await made.acknowledged()
        finally:
            await producer.stop()
        await _delete_marker(admin, _marker(settings))


def _arguments(settings: Settings) -> dict[str, Any]:
    return {"bootstrap_servers": settings.kafka_servers, **security(settings).arguments()}


def _marker(settings: Settings) -> str:
    return cluster.marker(settings.kafka_prefix)


def _admin(settings: Settings) -> AbstractAsyncContextManager[AIOKafkaAdminClient]:
    return cluster.connected(kafka_cluster(settings, {}))


async def check_nobody_works(admin: AIOKafkaAdminClient, settings: Settings) -> None:
    """Return once no worker of the settings is connected. Raises CommandError if some stay, KafkaError."""
    found = await wait_until_gone(admin, settings.group, lambda members: members, _LEAVE_SECONDS)
    if found:
        message = f"{len(found)} of the workers of {settings.group} are connected to Kafka"
        raise CommandError(f"{message}: stop all of them, then try again.")


async def _check_empty(admin: AIOKafkaAdminClient, settings: Settings) -> None:
    ours = kafka_topics()
    there = [name for name in await admin.list_topics() if name in ours]
    for name, ends in (await _ends(admin, settings, there)).items():
        if any(ends):
            raise CommandError(
                f"Kafka's topic {name} has records already. "
                "Import into a new log, with another CALLSCORE_KAFKA_PREFIX or on another cluster."
            )


async def _ends(admin: AIOKafkaAdminClient, settings: Settings, topics: Iterable[str]) -> dict[str, list[int]]:
    """The offset after the last record of each partition of those topics that exist."""
    there = sorted(set(topics) & set(await admin.list_topics()))
    if not there:
        return {}
    partitions = [
        TopicPartition(topic["topic"], found["partition"])
        for topic in await admin.describe_topics(there)
        for found in topic["partitions"]
    ]
    consumer = AIOKafkaConsumer(**_arguments(settings))
    await consumer.start()
    try:
        ends = await consumer.end_offsets(sorted(partitions))
    finally:
        await consumer.stop()
    by_topic: dict[str, list[int]] = {topic: [] for topic in there}
    for partition in sorted(partitions):
        by_topic[partition.topic].append(int(ends[partition]))
    return by_topic


async def _create_marker(admin: AIOKafkaAdminClient, settings: Settings) -> None:
    """Raises TopicAlreadyExistsError if another import has started meanwhile."""
    brokers = len((await admin.describe_cluster())["brokers"])
    marker = NewTopic(_marker(settings), 1, kafka_cluster(settings, {}).replicas(brokers))
    _raise_first((await admin.create_topics([marker])).topic_errors)


async def _delete_marker(admin: AIOKafkaAdminClient, name: str) -> None:
    _raise_first((await admin.delete_topics([name])).topic_error_codes)
    while True:  # brokers learn of the deletion one by one
        if name not in await admin.list_topics():
            return
        await asyncio.sleep(0.2)


def _raise_first(errors: Iterable[tuple[Any, ...]]) -> None:
    for topic, code, *_ in errors:
        if code:
            raise for_code(code)(f"topic {topic}")
