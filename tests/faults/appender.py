"""A process that appends to a log until it has so many acknowledgements, and writes each of them down as it comes.

Run as `python -m tests.faults.appender FOLDER COUNT`: the log is in FOLDER/log, the acknowledgements in FOLDER/acks.
"""

import asyncio
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from app.embedded import store
from app.embedded.errors import EmbeddedLogError, LogFailed, LogUnsynced
from app.embedded.log import Log
from app.exits import EXIT_UNSYNCED

TOPIC, GROUP, PARTITIONS = "calls", "group", 2
TOGETHER = 4  # appends that share a batch
COMMIT_EVERY = 10  # batches

Acks = Mapping[tuple[int, int], bytes]


def value_of(number: int) -> bytes:
    """The value of the record with this number: whether one is whole can be seen by itself."""
    text = b"%d " % number * (1 + number % 300)
    return sha256(text).digest() + text


def is_whole(value: bytes | None) -> bool:
    return value is not None and sha256(value[32:]).digest() == value[:32]


class Appender:
    def __init__(self, folder: Path, count: int) -> None:
        self._log = Log(folder / "log")
        self._acks = os.open(folder / "acks", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._count = count

    async def run(self) -> int:
        self._log.create_topic(TOPIC, PARTITIONS)
        number = batches = 0
        while number < self._count:
            try:
                await asyncio.gather(*[self._append(number + n) for n in range(TOGETHER)])
                batches += 1
                if batches % COMMIT_EVERY == 0:
                    await self._commit()
            except LogUnsynced:
                return EXIT_UNSYNCED
            except LogFailed:
                await self._reopen()
            number += TOGETHER
        with suppress(LogFailed):  # the call that fails may be one of closing; all is acknowledged by then
            await self._log.close()
        return 0

    async def _append(self, number: int) -> None:
        place = await self._log.append(TOPIC, number % PARTITIONS, b"%d" % number, value_of(number))
        self._say(f"a {place.partition} {place.offset} {number}")

    async def _commit(self) -> None:
        offset = self._log.highwater(TOPIC, 0)
        await self._log.commit(GROUP, {(TOPIC, 0): offset})
        self._say(f"c {offset}")

    async def _reopen(self) -> None:
        self._say("f")
        while True:
            await asyncio.sleep(0.01)
            try:
                return await self._log.reopen()
            except EmbeddedLogError:
                continue

    def _say(self, line: str) -> None:
        os.write(self._acks, line.encode() + b"\n")


if __name__ == "__main__":
    store.WRITE_BUFFER_BYTES = 64 * 1024  # so that what happens rarely happens often: flushes, compactions, new WALs
    sys.exit(asyncio.run(Appender(Path(sys.argv[1]), int(sys.argv[2])).run()))
