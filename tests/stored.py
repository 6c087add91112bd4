"""What a stopped service left: its tables on disk, and its log, wherever that is."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import rocksdict
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from app.embedded.log import Log as EmbeddedLog
from app.events import ScoreCancelled, ScoreFailed, ScoreSucceeded, decode_score_events
from app.topics import NAMES
from tests.kafka import KafkaCluster
from tests.service import Service

OFFSET_KEY = b"__faust\0offset__"
GROUP = "callscore"
PRIMARY = NAMES

Rows = dict[str, dict[tuple[int, bytes], bytes]]  # table → (partition, key) → value
T = TypeVar("T")


class Record(NamedTuple):
    """One record of a topic."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


def tables(service: Service) -> Rows:
    """All rows of all tables, without Faust's own offset key."""
    return tables_in(service.data_dir / "instance-0")


def tables_in(folder: Path) -> Rows:
    """As `tables`, of those in a folder."""
    return {
        name: {place: value for place, value in rows.items() if place[1] != OFFSET_KEY}
        for name, rows in _all_rows(folder).items()
    }


def offsets(service: Service, table: str) -> dict[int, int]:
    """The offset that a table remembers in each partition, -1 if none."""
    rows = _all_rows(service.data_dir / "instance-0").get(table, {})
    return {partition: int(rows.get((partition, OFFSET_KEY), -1)) for partition, _ in rows}


def _all_rows(folder: Path) -> Rows:
    rows: Rows = {}
    for path in sorted((folder / "tables").glob("*.db")):
        name, partition = path.name.removesuffix(".db").rsplit("-", 1)
        options = rocksdict.Options(raw_mode=True)
        database: Any = rocksdict.Rdict(str(path), options, access_type=rocksdict.AccessType.read_only())
        rows.setdefault(name, {}).update({(int(partition), key): value for key, value in database.items()})
        database.close()
    return rows


def empty(rows: Rows, *names: str) -> list[str]:
    """Those of these tables that have no rows."""
    return [name for name in names if not rows.get(name)]


def differences(one: Rows, other: Rows) -> list[str]:
    """Every row that is not the same in both, but for the tasks', which are parked and woken while a service runs."""
    return [
        f"{name}-{partition} {key!r}: {rows.get((partition, key))!r} != {others.get((partition, key))!r}"
        for name in sorted({*one, *other} - {"tasks"})
        for rows, others in ((one.get(name, {}), other.get(name, {})),)
        for partition, key in sorted({*rows, *others})
        if rows.get((partition, key)) != others.get((partition, key))
    ]


def log(service: Service) -> "StoredLog":
    """The log of a stopped service."""
    address = service.environment.get("CALLSCORE_BROKER", "").removeprefix("kafka://").replace(";", ",")
    return OnKafka(address, service.environment["CALLSCORE_KAFKA_PREFIX"]) if address else Embedded(service.data_dir)


class StoredLog(ABC):
    """A log that no service uses now. Topics are named as in the architecture, whatever prefix they have."""

    @abstractmethod
    def records(self, topic: str) -> list[Record]:
        """All records of a topic, those of a partition in order."""

    @abstractmethod
    def append(self, topic: str, records: Iterable[Record]) -> None:
        """Append these records once more, each to its partition."""

    @abstractmethod
    def committed(self) -> dict[tuple[str, int], int]:
        """What the service has committed: topic and partition, offset."""

    @abstractmethod
    def commit(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """Commit these in its place."""

    def rewind(self, choose: Callable[[int], int]) -> None:
        """Set every committed offset of the primary topics back to what `choose` makes of it."""
        committed = {where: offset for where, offset in self.committed().items() if where[0] in PRIMARY and offset}
        assert committed, "nothing was committed"
        self.commit({where: choose(offset) for where, offset in committed.items()})

    def append_again(self) -> None:
        """Append every record of the primary topics once more, to the partition it is in."""
        for topic in PRIMARY:
            self.append(topic, self.records(topic))

    def terminal_events(self) -> dict[tuple[str, str, str, str, int], int]:
        """How often each round of each task became terminal in the log, superseded repeats included."""
        found: dict[tuple[str, str, str, str, int], int] = {}
        for record in self.records("score-events"):
            for event in decode_score_events(record.value or b"").events:
                if isinstance(event, ScoreSucceeded | ScoreFailed | ScoreCancelled):
                    task = (event.project_id, event.call_id, event.scorer_ref, event.occasion, event.round)
                    found[task] = found.get(task, 0) + 1
        return found


class Embedded(StoredLog):
    """The log in a data directory."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "log"

    def records(self, topic: str) -> list[Record]:
        return self._with(lambda log: list(_read(log, topic)))

    def append(self, topic: str, records: Iterable[Record]) -> None:
        def append(log: EmbeddedLog) -> None:
            for record in records:
                log.append(topic, record.partition, record.key, record.value)

        self._with(append)

    def committed(self) -> dict[tuple[str, int], int]:
        def committed(log: EmbeddedLog) -> dict[tuple[str, int], int]:
            every = [(topic, number) for topic in PRIMARY for number in range(log.partition_count(topic) or 0)]
            return {where: offset for where in every if (offset := log.committed(GROUP, *where)) is not None}

        return self._with(committed)

    def commit(self, offsets: Mapping[tuple[str, int], int]) -> None:
        self._with(lambda log: log.commit(GROUP, offsets))

    def _with(self, use: Callable[[EmbeddedLog], T]) -> T:
        async def run() -> T:
            log = EmbeddedLog(self._path)
            try:
                return use(log)
            finally:
                await log.flush()
                await log.close()

        return asyncio.run(run())


def _read(log: EmbeddedLog, topic: str) -> Iterable[Record]:
    for partition in range(log.partition_count(topic) or 0):
        offset, end = log.earliest(topic, partition), log.highwater(topic, partition)
        while offset < end:
            for record in log.read(topic, partition, offset, 1000):
                yield Record(partition, record.offset, record.key, record.value)
                offset = record.offset + 1


class OnKafka(StoredLog):
    """Topics and a group with a prefix on the Kafka at an address."""

    def __init__(self, address: str, prefix: str) -> None:
        self._address = address
        self._prefix = prefix
        self._group = f"{prefix}{GROUP}"

    def records(self, topic: str) -> list[Record]:
        async def read() -> list[Record]:
            found: list[Record] = []
            consumer = AIOKafkaConsumer(bootstrap_servers=self._address)
            await consumer.start()
            try:
                name = self._prefix + topic
                ends = await consumer.end_offsets([TopicPartition(name, n) for n in self._ends(topic)])
                consumer.assign(list(ends))
                await consumer.seek_to_beginning()
                while any([await consumer.position(tp) < end for tp, end in ends.items()]):
                    for records in (await consumer.getmany(timeout_ms=1000)).values():
                        found += [Record(r.partition, r.offset, r.key, r.value) for r in records]
            finally:
                await consumer.stop()
            return found

        return asyncio.run(read())

    def append(self, topic: str, records: Iterable[Record]) -> None:
        async def append() -> None:
            producer = AIOKafkaProducer(
                bootstrap_servers=self._address, acks="all", enable_idempotence=True, max_request_size=4 * 1024**2
            )
            await producer.start()
            try:
                for record in records:
                    await producer.send(self._prefix + topic, record.value, key=record.key, partition=record.partition)
            finally:
                await producer.stop()

        asyncio.run(append())

    def committed(self) -> dict[tuple[str, int], int]:
        committed = KafkaCluster(self._address).committed(self._group)
        return {(topic.removeprefix(self._prefix), number): offset for (topic, number), offset in committed.items()}

    def commit(self, offsets: Mapping[tuple[str, int], int]) -> None:
        there = {TopicPartition(self._prefix + topic, number): offset for (topic, number), offset in offsets.items()}

        async def commit() -> None:
            consumer = AIOKafkaConsumer(bootstrap_servers=self._address, group_id=self._group, enable_auto_commit=False)
            await consumer.start()
            try:
                consumer.assign(list(there))
                await consumer.commit(there)
            finally:
                await consumer.stop()

        KafkaCluster(self._address).disband(self._group)  # nobody else may commit while it has a member
        asyncio.run(commit())

    def _ends(self, topic: str) -> dict[int, int]:
        return KafkaCluster(self._address).ends(self._prefix + topic)
