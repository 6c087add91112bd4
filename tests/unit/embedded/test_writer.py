"""A batch is durable once its own sync has ended well, and is never said to be before."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from app.embedded.errors import LogFailed, LogUnsynced
from app.embedded.writer import Writer


class Disk:
    """A database that notes what is done to it."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.broken: Exception | None = None

    def write(self, _: object) -> None:
        self.calls.append("write")

    def flush_wal(self, sync: bool) -> None:
        self.calls.append("sync" if sync else "flush")
        if self.broken is not None:
            raise self.broken


class Written:
    """A writer on a disk, and what it told of each tag."""

    def __init__(self) -> None:
        disk: Any = Disk()
        self.disk = disk
        self.told: list[tuple[list[str], LogFailed | None]] = []
        self._heard = asyncio.Event()
        self.writer: Writer[str] = Writer(self.disk, Path("log"), self._hear, self._hear)

    def _hear(self, tags: list[str], failure: LogFailed | None = None) -> None:
        self.told.append((tags, failure))
        self._heard.set()

    def put(self, tag: str) -> None:
        self.writer.put(b"key", b"value")
        self.writer.tag(tag)

    async def hear(self) -> None:
        async with asyncio.timeout(10):
            await self._heard.wait()
        self._heard.clear()

    async def settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)


async def test_each_batch_is_synced_before_the_next_is_written_and_nothing_is_written_in_vain() -> None:
    written = Written()
    written.put("a")
    written.put("b")
    assert (written.disk.calls, written.writer.backlog) == ([], 2)
    await asyncio.sleep(0)  # written, and its sync begun
    written.put("c")
    written.writer.push()  # it waits for the sync
    assert written.disk.calls[:1] == ["write"]
    assert written.disk.calls.count("write") == 1
    assert (written.writer.backlog, written.writer.idle) == (3, False)
    while len(written.told) < 2:
        await written.hear()
    await written.settle()
    assert written.told == [(["a", "b"], None), (["c"], None)]
    assert written.disk.calls == ["write", "sync"] * 2
    assert (written.writer.backlog, written.writer.idle) == (0, True)
    written.put("d")
    written.writer.push()
    assert written.disk.calls.count("write") == 3
    await written.hear()
    written.writer.close()


async def test_after_a_sync_that_failed_nothing_is_durable_or_written() -> None:
    written = Written()
    written.disk.broken = OSError("the disk of this test")
    written.put("a")
    await asyncio.sleep(0)
    written.put("b")
    await written.hear()
    await written.settle()
    [(tags, failure)] = written.told
    assert (tags, type(failure)) == (["a", "b"], LogUnsynced)
    assert written.disk.calls == ["write", "sync"]
    assert written.writer.backlog == 0
    with pytest.raises(LogUnsynced):
        written.writer.check()
    written.writer.close()
