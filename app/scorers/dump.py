"""The stack of a process that hangs, dumped on a signal, which also works while it blocks or computes.

It is written by faulthandler's C code, which only knows the names of code objects. So each run of an async scorer has
a code object with a name of its own, which costs a microsecond (app/scorers/coroutines).
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
    """`frames` are those of the run if it is known, the innermost first."""

    frames: list[str]
    run: int | None


def name_of(run: int) -> str:
    """The name of a run's code object."""
    return f"run {run}"


def offer(fd: int) -> None:
    """Have this process write the stack of its main thread into a pipe on each signal."""
    os.set_inheritable(fd, False)  # a child of a scorer would keep it open
    faulthandler.register(_SIGNAL, fd, all_threads=False)


async def take(process: Process, fd: int) -> Dump:
    """The stack of a process that has called `offer`, empty if it does not answer. `fd` is the pipe's other end."""
    dumped, more, loop = b"", asyncio.Event(), asyncio.get_running_loop()
    loop.add_reader(fd, more.set)
    try:
        process.send_signal(_SIGNAL)
        async with asyncio.timeout(_PATIENCE):
            while not dumped.endswith(_LAST):
                await more.wait()
                more.clear()
                with suppress(BlockingIOError):  # the dump is written in pieces, and this one was read already
                    if not (piece := os.read(fd, 65_536)):
                        break  # it has ended
                    dumped += piece
    except OSError:  # it has ended, or time is up
        pass
    finally:
        loop.remove_reader(fd)
    return read(dumped.decode("ascii", "replace"))


def read(text: str) -> Dump:
    """Parse a dump."""
    frames: list[str] = []
    for frame, name in _FRAME.findall(text):
        if found := _RUN.fullmatch(name):
            return Dump(frames, int(found[1]))
        frames.append(frame)
    return Dump(frames, None)
