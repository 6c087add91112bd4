"""After any operations in any order, the log holds what a model in plain Python says that it must."""

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from app.embedded import cleaning
from app.embedded.errors import LogFailed
from app.embedded.log import Log
from tests.unit.embedded.log_model import Partition, Stored, seen

T = TypeVar("T")

IN_MEMORY = Path("/dev/shm")  # a RocksDB opens there in 5 ms
GROUP = "group"
TOPICS: dict[str, dict[str, Any]] = {
    "kept": {},
    "compacted": {"cleanup.policy": "compact", "delete.retention.ms": 1000},
    "retained": {"cleanup.policy": "delete", "retention.ms": 3000, "retention.bytes": 400},
    "both": {"cleanup.policy": "compact,delete", "delete.retention.ms": 500, "retention.ms": 2000},
}
PARTITIONS = 2

topics = st.sampled_from(list(TOPICS))
numbers = st.integers(0, PARTITIONS - 1)
keys = st.none() | st.sampled_from([b"", b"a", b"b", b"c"])
contents = st.sampled_from([None, b"", b"value", b"another value"])
headers = st.sampled_from([(), (("name", b"content"),), (("ä", None), ("", b""))])
records = st.tuples(topics, numbers, keys, contents, headers)
appends = st.lists(records, min_size=1, max_size=8)


class LogMachine(RuleBasedStateMachine):
    """A log, and the model of it. `now` is the clock of both."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp(dir=IN_MEMORY if IN_MEMORY.is_dir() else None))
        self.generation = 0
        self.now = 1_000_000
        self.model = {(name, n): Partition(config) for name, config in TOPICS.items() for n in range(PARTITIONS)}

    @initialize()
    def create(self) -> None:
        self.clock, self.slice = cleaning.now, cleaning.SLICE_SECONDS
        cleaning.now = lambda: self.now
        cleaning.SLICE_SECONDS = 0.0  # the smallest slices, so that other operations come between them
        self.log = self.open()
        self.run(self.log.flush())

    def teardown(self) -> None:
        try:
            self.run(self.log.close())
        finally:
            cleaning.now, cleaning.SLICE_SECONDS = self.clock, self.slice
            self.loop.close()
            shutil.rmtree(self.folder)

    # -- operations

    @rule(records=appends)
    def append(self, records: list[tuple[Any, ...]]) -> None:
        self.run(asyncio.wait_for(self.append_all(records), 10))
        self.remember(records)

    @rule(topic=topics, number=numbers, share=st.floats(0, 1))
    def commit(self, topic: str, number: int, share: float) -> None:
        partition = self.model[topic, number]
        partition.committed = int(partition.end * share)
        self.run(self.log_commit(topic, number, partition.committed))

    @rule(
        topic=topics,
        number=numbers,
        share=st.floats(0, 1.1),
        max_records=st.integers(1, 20),
        max_bytes=st.integers(1, 300),
    )
    def read_from_anywhere(self, topic: str, number: int, share: float, max_records: int, max_bytes: int) -> None:
        partition = self.model[topic, number]
        offset = int(partition.end * share)
        found = self.log.read(topic, number, offset, max_records, max_bytes)
        assert [seen(record) for record in found] == partition.read(offset, max_records, max_bytes)

    @rule(milliseconds=st.sampled_from([1, 499, 500, 1000, 2500]))
    def time_goes_by(self, milliseconds: int) -> None:
        self.now += milliseconds

    @rule()
    def clean(self) -> None:
        self.run(self.log.clean())
        self.model_clean()

    @rule(topic=st.sampled_from(["compacted", "both"]))
    def compact(self, topic: str) -> None:
        self.run(self.log.compact(topic))
        self.model_clean(topic)

    @rule()
    def reopen(self) -> None:
        self.run(self.log.close())
        self.log = self.open()

    @rule(records=appends, turns=st.integers(0, 4))
    def crash_amid_appends(self, records: list[tuple[Any, ...]], turns: int) -> None:
        """Records that were not acknowledged may be there or not, but in order and without a gap."""
        self.run(self.begin_appends(records, turns))
        self.crash()
        before = {tp: partition.end for tp, partition in self.model.items()}
        survived = sum(self.log.highwater(*tp) - end for tp, end in before.items())
        self.remember(records[:survived])

    @rule(slices=st.integers(1, 6))
    def crash_amid_cleaning(self, slices: int) -> None:
        """No record is missing that cleaning keeps, and none is new; then cleaning continues."""
        before = deepcopy(self.model)
        self.run(self.begin_cleaning(slices))
        self.crash()
        self.model_clean()
        for tp, partition in self.model.items():
            there = {record.offset for record in self.log.read(*tp, 0, 10_000)}
            assert partition.records.keys() <= there <= before[tp].records.keys()
        self.run(self.log.clean())

    @invariant()
    def everything_is_as_it_must_be(self) -> None:
        for (topic, number), partition in self.model.items():
            assert self.log.highwater(topic, number) == partition.end
            assert self.log.earliest(topic, number) == partition.start
            assert self.log.committed(GROUP, topic, number) == partition.committed
            found = self.log.read(topic, number, 0, 10_000)
            assert dict(seen(record) for record in found) == partition.records

    # -- helpers

    def run(self, awaitable: Awaitable[T]) -> T:
        return self.loop.run_until_complete(asyncio.ensure_future(awaitable, loop=self.loop))

    def open(self) -> Log:
        async def opened() -> Log:
            log = Log(self.folder / str(self.generation))
            for name, config in TOPICS.items():
                log.create_topic(name, PARTITIONS, config)
            return log

        return self.run(opened())

    def crash(self) -> None:
        """Continue with a copy of the files as they are now."""
        old = self.folder / str(self.generation)
        self.generation += 1
        self.log._database.cancel_all_background(True)  # otherwise it removes files while they are copied
        shutil.copytree(old, self.folder / str(self.generation))
        with suppress(LogFailed):
            self.run(self.log.close())
        shutil.rmtree(old)
        self.log = self.open()

    async def append_all(self, records: list[tuple[Any, ...]]) -> None:
        await asyncio.gather(*self.start_all(records))

    async def begin_appends(self, records: list[tuple[Any, ...]], turns: int) -> None:
        self.start_all(records)
        for _ in range(turns):
            await asyncio.sleep(0)

    async def begin_cleaning(self, slices: int) -> None:
        cleaning_task = asyncio.ensure_future(self.log.clean())
        for _ in range(slices):
            await asyncio.sleep(0)
        cleaning_task.cancel()

    async def log_commit(self, topic: str, number: int, offset: int) -> None:
        await self.log.commit(GROUP, {(topic, number): offset})

    def start_all(self, records: list[tuple[Any, ...]]) -> list[Any]:
        return [
            self.log.append(topic, number, key, value, self.now, sent) for topic, number, key, value, sent in records
        ]

    def remember(self, records: list[tuple[Any, ...]]) -> None:
        for topic, number, key, value, sent in records:
            self.model[topic, number].append(Stored(key, value, self.now, sent))

    def model_clean(self, topic: str | None = None) -> None:
        for (name, _), partition in self.model.items():
            if topic in (None, name):
                partition.clean(self.now)


LogMachine.TestCase.settings = settings(
    max_examples=1000, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
)
TestLog = LogMachine.TestCase
