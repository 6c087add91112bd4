"""Where a process is that does not answer: told on a signal, which reaches one that blocks or computes as well.

What tells it is faulthandler's C code, which waits for nobody, and knows no more than the names of code: so each run of
an async scorer is code of a name of its own, which costs a microsecond (app/scorers/coroutines).
"""

import asyncio
import faulthandler
import os
import re
import signal
from asyncio.subprocess import Process
from contextlib import suppress
from typing import NamedTuple

_SIGNAL = signal.SIGUSR2
_PATIENCE = 2.0  # seconds
_LAST = (b" in <module>\n", b"  ...\n")  # of a dump, the latter where it is too deep
_FRAME = re.compile(r'^  (File ".*", line \S+ in (.*))$', re.MULTILINE)
_RUN = re.compile(r"run (\d+)")


class Dump(NamedTuple):
    """`frames` are of the run alone where it is known, the innermost first."""

    frames: list[str]
    run: int | None


def name_of(run: int) -> str:
    """The name of the code of a run."""
    return f"run {run}"


def offer(fd: int) -> None:
    """Have this process write into a pipe where its main thread is whenever it is asked to."""
    os.set_inheritable(fd, False)  # a child of a scorer would keep it open
    faulthandler.register(_SIGNAL, fd, all_threads=False)


async def take(process: Process, fd: int) -> Dump:
    """Where a process is that has offered that; without frames if it does not tell. `fd` is the pipe's other end."""
    said, more, loop = b"", asyncio.Event(), asyncio.get_running_loop()
    loop.add_reader(fd, more.set)
    try:
        process.send_signal(_SIGNAL)
        async with asyncio.timeout(_PATIENCE):
            while not said.endswith(_LAST):
                await more.wait()
                more.clear()
                with suppress(BlockingIOError):  # woken for what was read already: it is written piece by piece
                    if not (piece := os.read(fd, 65_536)):
                        break  # it has ended
                    said += piece
    except OSError:  # it has ended, or time is up
        pass
    finally:
        loop.remove_reader(fd)
    return read(said.decode("ascii", "replace"))


def read(said: str) -> Dump:
    """What a dump says."""
    frames: list[str] = []
    for frame, name in _FRAME.findall(said):
        if found := _RUN.fullmatch(name):
            return Dump(frames, int(found[1]))
        frames.append(frame)
    return Dump(frames, None)
