"""A small Faust app on either log: one topic, one agent, one table."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import faust
from aiokafka import AIOKafkaProducer

from app.embedded.errors import LogFailed
from app.embedded.log import Log
from app.ids import partition_of
from app.recovery import Tables
from tests import stored
from tests.brokers import Broker, OnKafka
from tests.service import attempts

PARTITIONS = 4
GROUP = "worker"
READY_SECONDS = 40.0
COMPACTED_SECONDS = 90.0


class App(faust.App):
    """Faust's App with the callbacks that our consumers and producers need."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lost: list[Exception] = []

    def on_halt(self, failure: LogFailed) -> None:
        """Do nothing: a small app has no state but its table."""

    def on_hopeless(self, why: str) -> None:
        """Fail the test."""
        raise AssertionError(why)

    def on_unreadable(self, why: str) -> None:
        """Fail the test."""
        raise AssertionError(why)

    def on_cannot_store(self, path: Path, error: Exception) -> None:
        """Halt, as callscore does on the embedded log."""
        self.consumer.on_failed_write(path, error)

    def on_lost_send(self, error: Exception) -> None:
        """Remember that an effect of a record could not be written."""
        self.lost.append(error)

    def on_lost_membership(self, seconds: float) -> None:
        """Fail the test: a paused one proves nothing."""
        raise AssertionError(f"Kafka did not hear from it for {seconds:.1f} s")


class Table(faust.Table):
    """Faust's Table, whose changelog records are appended like those of callscore's tables."""

    def _new_store(self) -> Any:
        store = super()._new_store()
        store.write = lambda partition, batch: store._db_for_partition(partition).write(batch)  # for recovery
        return store

    def on_key_set(self, key: bytes, value: bytes) -> None:
        """Append the row."""
        self._append(key, value)

    def on_key_del(self, key: bytes) -> None:
        """Append a tombstone."""
        self._append(key, None)

    def _append(self, key: bytes, value: bytes | None) -> None:
        topic, partition = self.changelog_topic.get_topic_name(), self.partition_for_key(key)
        self.app.producer.append_all(topic, partition, [(key, value)]).add_done_callback(self._on_changelog_sent)


class Place:
    """Where a small app keeps its log and its tables: both in `path`, when the log is embedded."""

    prefix = ""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def group(self) -> str:
        return f"{self.prefix}{GROUP}"

    @property
    def url(self) -> str:
        return f"embedded://{self.path}/log"

    def topic(self, name: str) -> str:
        """The full name of a topic."""
        return f"{self.prefix}{name}"

    def changelog(self, table: str) -> str:
        """The full name of a table's changelog."""
        return f"{self.group}-{table}-changelog"

    def prepare(self, partitions: int) -> None:
        """Create the topics that an app expects."""

    def committed(self, app: Any, topic: str = "calls") -> dict[int, int]:
        """What a running app has committed: partition, offset."""
        log, name = app.consumer.embedded, self.topic(topic)
        found = {n: log.committed(self.group, name, n) for n in range(log.partition_count(name))}
        return {partition: offset for partition, offset in found.items() if offset is not None}

    async def append(self, topic: str, records: list[tuple[int, bytes, bytes | None]]) -> list[tuple[int, int]]:
        """Append records (partition, key, value) while no app runs; returns where they are."""
        log = Log(self.path / "log")
        log.create_topic(self.topic(topic), PARTITIONS)
        try:
            places = await asyncio.gather(*[log.append(self.topic(topic), *record) for record in records])
        finally:
            await log.close()
        return [(place.partition, place.offset) for place in places]

    async def compact(self, topic: str) -> None:
        """Have only the newest record of each key kept, and no tombstone but the last record."""
        log = Log(self.path / "log")
        try:
            log.create_topic(topic, PARTITIONS, {**log.topics[topic].config, "delete.retention.ms": 0})
            await log.compact(topic)
            there = [record.key for n in range(PARTITIONS) for record in log.read(topic, n, 0)]
        finally:
            await log.close()
        assert len(there) == len(set(there)), f"{topic} was not compacted"


class KafkaPlace(Place):
    """The same on Kafka, with names that nobody else uses."""

    def __init__(self, path: Path, broker: OnKafka) -> None:
        super().__init__(path)
        self.kafka = broker.kafka
        self.prefix = broker.prefix()

    @property
    def url(self) -> str:
        return self.kafka.broker

    def prepare(self, partitions: int) -> None:
        there = self.kafka.topics()
        if self.topic("calls") not in there:
            self.kafka.create_topic(self.topic("calls"), partitions)
        if self.changelog("rows") not in there:
            self.kafka.create_topic(self.changelog("rows"), partitions, cleanup_policy="compact")

    def committed(self, app: Any, topic: str = "calls") -> dict[int, int]:
        committed = self.kafka.committed(self.group)
        return {number: offset for (name, number), offset in committed.items() if name == self.topic(topic)}

    async def append(self, topic: str, records: list[tuple[int, bytes, bytes | None]]) -> list[tuple[int, int]]:
        producer = AIOKafkaProducer(bootstrap_servers=self.kafka.address, acks="all", enable_idempotence=True)
        await producer.start()
        try:
            name = self.topic(topic)
            sent = [await producer.send(name, value, key=key, partition=n) for n, key, value in records]
            places = await asyncio.gather(*sent)
        finally:
            await producer.stop()
        return [(place.partition, place.offset) for place in places]

    async def compact(self, topic: str) -> None:
        self.kafka.configure(topic, segment_ms=100, min_cleanable_dirty_ratio=0.01, delete_retention_ms=0)
        raw = stored.OnKafka(self.kafka.address, "")
        before = len(await asyncio.to_thread(raw.records, topic))
        # Only segments that have been closed are compacted, and a record that comes later closes one.
        ends = self.kafka.ends(topic)
        await self.append(topic.removeprefix(self.prefix), [(partition, b"nothing", None) for partition in ends])

        def compacted() -> bool:
            return any(len(raw.records(topic)) < before for _ in attempts(COMPACTED_SECONDS))

        assert await asyncio.to_thread(compacted), f"{topic} was never compacted"
        self.kafka.configure(topic, segment_ms=3_600_000, min_cleanable_dirty_ratio=0.9)  # it would go on for ever


def place_of(broker: Broker, path: Path) -> Place:
    """A fresh place on this broker."""
    return KafkaPlace(path, broker) if isinstance(broker, OnKafka) else Place(path)


def build(place: Place, **settings: Any) -> Any:
    """Return an app whose log is in `place` and whose tables are in its path."""
    (place.path / "data").mkdir(exist_ok=True, parents=True)
    settings = {"topic_partitions": PARTITIONS, "broker_commit_interval": 0.5} | settings
    place.prepare(settings["topic_partitions"])
    return App(
        place.group,
        broker=place.url,
        store="rocksdb://",
        datadir=str(place.path / "data"),
        topic_disable_leader=True,
        web_enabled=False,
        key_serializer="raw",
        value_serializer="raw",
        producer_acks=-1,
        consumer_auto_offset_reset="earliest",
        stream_wait_empty=False,
        broker_session_timeout=10.0,
        broker_heartbeat_interval=3.0,
        Table=Table,
        TableManager=Tables,
        **settings,
    )


class Worker:
    """The app, and what its agent has seen: (partition, offset) of every event, in order."""

    def __init__(self, place: Place, **settings: Any) -> None:
        self.place = place
        self.app = build(place, **settings)
        self.topic = place.topic("calls")
        self.calls = self.app.topic(self.topic, key_type=bytes, value_type=bytes, partitions=PARTITIONS)
        self.table = self.app.Table(
            "rows", partitions=PARTITIONS, key_type=bytes, value_type=bytes, options={"driver": "rocksdict"}
        )
        self.seen: list[tuple[int, int]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.at_work = asyncio.Event()  # it has taken an event
        self._waiting: list[tuple[int, asyncio.Event]] = []
        self.app.agent(self.calls)(self.apply)

    async def apply(self, stream: Any) -> None:
        """Set rows; an empty value deletes one."""
        async for event in stream.events():
            self.at_work.set()
            await self.gate.wait()
            if event.value:
                self.table[event.key] = event.value
            else:
                self.table.pop(event.key, None)
            self.seen.append((event.message.partition, event.message.offset))
            for count, reached in self._waiting:
                if len(self.seen) >= count:
                    reached.set()

    async def has_seen(self, count: int) -> None:
        """Wait until the agent has seen `count` events."""
        reached = asyncio.Event()
        self._waiting.append((count, reached))
        if len(self.seen) < count:
            async with asyncio.timeout(READY_SECONDS):
                await reached.wait()

    async def send(self, values: Mapping[bytes, bytes]) -> None:
        """Append values to the partitions that own their keys."""
        append = self.app.producer.append
        await asyncio.gather(*(append(self.topic, partition_of(key, PARTITIONS), key, values[key]) for key in values))

    def rows(self) -> dict[bytes, bytes]:
        """Everything in the table, read from its RocksDB."""
        return dict(self.table.data.items())

    def committed(self) -> dict[int, int]:
        return self.place.committed(self.app)


@asynccontextmanager
async def running(place: Place, **settings: Any) -> AsyncIterator[Worker]:
    """Start a worker, recovered and ready, and stop it."""
    worker = Worker(place, **settings)
    async with started(worker.app):
        yield worker


@asynccontextmanager
async def started(app: Any) -> AsyncIterator[None]:
    await app.start()
    try:
        async with asyncio.timeout(READY_SECONDS):
            await app.tables.recovery.completed.wait()
        yield
    finally:
        await app.stop()
        for table in app.tables.values():
            await table.data.stop()  # Faust's store opens it again when it persists an offset after its stop
