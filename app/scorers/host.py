"""What runs inside a host: an event loop for async scorers. See app/scorers/hosts."""

import asyncio
import gc
import logging
import os
import socket
import sys
from collections import deque
from functools import partial
from typing import Any

import uvloop

from app.scorers import dump
from app.scorers.base import ScorerFunction
from app.scorers.channel import Channel, Message
from app.scorers.code import ScorerSource
from app.scorers.coroutines import Coroutines, RunningCoroutine
from app.scorers.errors import ScorerError, ScorerRaised
from app.scorers.report import Outcome, Report, Task, end_of
from app.scorers.worker import belong_to_the_service, target_of_source

_SIGN_EVERY = 1.0


class Run:
    """One run, and who in it waits for the word that somebody may be asked."""

    __slots__ = ("promised", "report", "running", "waiting", "words")

    def __init__(self, report: Report) -> None:
        self.report = report
        self.running: RunningCoroutine | None = None
        self.waiting: deque[asyncio.Future[None]] = deque()
        self.promised: asyncio.Future[None] | None = None  # the word that comes unasked, until somebody waits for it
        self.words = 0  # that were taken

    def waits(self) -> "asyncio.Future[None]":
        told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(told)
        return told


class Host:
    """Runs what the service sends, until that goes away.

    It gets ("load", ref, source), which it answers with ("loading", ref) and ("loaded", ref, usable), ("run", number,
    ref, arguments, seconds, task, promised) and ("stop", number). It sends ("asking", number, words, told) and
    ("ended", number, outcome, told), where told is what a report tells, and ("alive",) while nothing keeps its event
    loop. A scorer may ask somebody once ("told", number) has come, which answers "asking"; the first such word comes
    unasked if it is promised, and `words` says how many the report counts in. What is sent is made of bytes, texts and
    numbers, so that nothing a scorer made runs in the service.
    """

    def __init__(self) -> None:
        self._coroutines = Coroutines()
        self._targets: dict[str, ScorerFunction | ScorerError] = {}  # by ref; or why there was none
        self._runs: dict[int, Run] = {}
        self._channel = Channel(self._received)

    @classmethod
    async def serve(cls, connection: socket.socket) -> None:
        """Serve until the connection ends, and with it this process."""
        host = cls()
        await asyncio.get_running_loop().create_connection(lambda: host._channel, sock=connection)
        host._sign()
        await host._channel.lost
        os._exit(0)  # at once: nobody waits for what still runs, and it might not end

    def _sign(self) -> None:
        self._channel.send(("alive",))
        asyncio.get_running_loop().call_later(_SIGN_EVERY, self._sign)

    def _received(self, message: Message) -> None:
        what, *rest = message
        if what == "load":
            self._load(*rest)
        elif what == "run":
            self._run(*rest)
        elif what == "told":
            self._told(*rest)
        elif what == "stop":
            self._stop(*rest)

    def _load(self, ref: str, source: ScorerSource) -> None:
        self._say_now("loading", ref)
        target = self._targets[ref] = _target_or_why(source)
        self._say_now("loaded", ref, not isinstance(target, ScorerError))

    def _say_now(self, *message: Any) -> None:
        """Before what may take long: a load has more time than a scorer that does not await."""
        self._channel.send(message)
        self._channel.flush()

    def _run(
        self, number: int, ref: str, arguments: dict[str, Any], seconds: float, task: Task, promised: bool
    ) -> None:
        run = self._runs[number] = Run(Report(task))
        # By its number: a run that holds itself is left for the garbage collector, which then stops all for 0.2 s.
        run.report.on_asking = partial(self._ask, number)
        if promised:
            run.promised = run.waits()
        done = partial(self._done, number)
        target = self._targets[ref]
        if isinstance(target, ScorerError):
            done(target)
            return
        try:
            run.running = self._coroutines.begin(ref, target, arguments, seconds, run.report, done, number)
        except ScorerError as error:
            done(error)

    def _stop(self, number: int) -> None:
        run = self._forget(number)
        if run is not None and run.running is not None:
            run.running.cancel()

    async def _ask(self, number: int) -> None:
        """Have the service write that somebody is about to be asked, and wait until it has."""
        run = self._runs.get(number)
        if run is None:
            raise asyncio.CancelledError  # it is over: nobody would write that
        told, run.promised = run.promised, None
        if told is None:
            self._channel.send(("asking", number, run.words, run.report.told()))
            told = run.waits()
        await told
        run.words += 1

    def _told(self, number: int) -> None:
        run = self._runs.get(number)
        if run is not None and run.waiting:
            told = run.waiting.popleft()
            if not told.done():
                told.set_result(None)

    def _done(self, number: int, outcome: Outcome) -> None:
        run = self._forget(number)
        if run is not None:
            self._channel.send(("ended", number, *end_of(outcome, run.report)))

    def _forget(self, number: int) -> Run | None:
        run = self._runs.pop(number, None)
        for told in () if run is None else run.waiting:
            told.cancel()  # whoever still waits would wait for ever
        return run


def _target_or_why(source: ScorerSource) -> ScorerFunction | ScorerError:
    """What to call, or why a scorer cannot be made, which the runs that waited for it are told."""
    try:
        return target_of_source(source)
    except ScorerError as error:
        return error
    except BaseException as error:
        return ScorerRaised.of(error)


def main() -> None:
    """Serve the service.

    The arguments are its module path, our ends of the connection and of a pipe for dumps, its pid and its log level.
    """
    _, fd, dumps, parent, level = sys.argv[1:]
    belong_to_the_service()
    if os.getppid() != int(parent):
        return  # it ended before this process belonged to it
    dump.offer(int(dumps))
    logging.basicConfig(level=int(level), format="[%(asctime)s] [%(process)d] [%(levelname)s] %(message)s")
    gc.set_threshold(200_000, 20, 100)  # what runs here is mostly made and dropped: as app/worker
    connection = socket.socket(fileno=int(fd))
    connection.set_inheritable(False)  # a child of a scorer would keep it open
    uvloop.run(Host.serve(connection))
