"""Where a process hangs is read as it is written, piece by piece, until it is whole or the process has ended."""

import asyncio
import os
from asyncio.subprocess import Process
from collections.abc import Iterator
from typing import cast

import pytest

from app.scorers import dump

PIECES = (
    b"Current thread 0x1 (most recent call first):\n",
    b'  File "a.py", line 3 in blocks\n',
    b'  File "c.py", line 9 in run 7\n  File "m.py", line 1 in <module>\n',
)


class Writing:
    """A process that writes a piece at a time, and then ends if it has not said all."""

    def __init__(self, pipe: int, pieces: Iterator[bytes]) -> None:
        self._pipe = pipe
        self._pieces = pieces

    def send_signal(self, _: int) -> None:
        piece = next(self._pieces, None)
        if piece is None:
            os.close(self._pipe)
            return
        os.write(self._pipe, piece)
        asyncio.get_running_loop().call_later(0.01, self.send_signal, 0)


@pytest.mark.parametrize(("pieces", "run"), [(PIECES, 7), (PIECES[:2], None), ((), None)])
async def test_a_dump_is_read_to_its_end_or_to_that_of_the_process(pieces: tuple[bytes, ...], run: int | None) -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    try:
        async with asyncio.timeout(1):  # less than the patience with one that says nothing
            found = await dump.take(cast(Process, Writing(writing, iter(pieces))), reading)
    finally:
        os.close(reading)
    assert found.run == run
    assert found.frames == (['File "a.py", line 3 in blocks'] if len(pieces) > 1 else [])
