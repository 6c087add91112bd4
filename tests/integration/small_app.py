"""A small Faust app on the embedded log: one topic, one agent, one table."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import faust

PARTITIONS = 4
GROUP = "worker"


def build(path: Path, **settings: Any) -> Any:
    """Return an app whose log is in `path`/log and whose tables are in `path`/data."""
    (path / "data").mkdir(exist_ok=True, parents=True)
    return faust.App(
        GROUP,
        broker=f"embedded://{path}/log",
        store="rocksdb://",
        datadir=str(path / "data"),
        topic_disable_leader=True,
        web_enabled=False,
        key_serializer="raw",
        value_serializer="raw",
        **{"topic_partitions": PARTITIONS, **settings},
    )


class Worker:
    """The app, and what its agent has seen: (partition, offset) of every event, in order."""

    def __init__(self, path: Path, **settings: Any) -> None:
        self.app = build(path, **settings)
        self.calls = self.app.topic("calls", key_type=bytes, value_type=bytes, partitions=PARTITIONS)
        self.table = self.app.Table(
            "rows", partitions=PARTITIONS, key_type=bytes, value_type=bytes, options={"driver": "rocksdict"}
        )
        self.seen: list[tuple[int, int]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self._waiting: list[tuple[int, asyncio.Event]] = []
        self.app.agent(self.calls)(self.apply)

    async def apply(self, stream: Any) -> None:
        async for event in stream.events():
            await self.gate.wait()
            self.table[event.key] = event.value
            self.seen.append((event.message.partition, event.message.offset))
            for count, reached in self._waiting:
                if len(self.seen) >= count:
                    reached.set()

    async def has_seen(self, count: int) -> None:
        """Wait until the agent has seen `count` events."""
        reached = asyncio.Event()
        self._waiting.append((count, reached))
        if len(self.seen) < count:
            async with asyncio.timeout(20):
                await reached.wait()

    async def send(self, values: dict[bytes, bytes]) -> None:
        for key, value in values.items():
            await self.calls.send(key=key, value=value)

    def rows(self) -> dict[bytes, bytes]:
        """Everything in the table, read from its RocksDB."""
        return dict(self.table.data.items())

    def committed(self, partition: int) -> int:
        return self.app.consumer.embedded.committed(GROUP, "calls", partition) or 0


@asynccontextmanager
async def running(path: Path, **settings: Any) -> AsyncIterator[Worker]:
    """Start a worker, recovered and ready, and stop it."""
    worker = Worker(path, **settings)
    async with started(worker.app):
        yield worker


@asynccontextmanager
async def started(app: Any) -> AsyncIterator[None]:
    await app.start()
    try:
        async with asyncio.timeout(20):
            await app.tables.recovery.completed.wait()
        yield
    finally:
        await app.stop()
