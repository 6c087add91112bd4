"""What runs inside a host: an event loop for async scorers. See app/scorers/hosts."""

import asyncio
import gc
import logging
import os
import socket
import sys
from collections import deque
from contextlib import suppress
from functools import partial
from typing import Any

import orjson
import uvloop

from app.scorers.channel import Channel, Message
from app.scorers.code import ScorerSource
from app.scorers.coroutines import Coroutines, Running
from app.scorers.errors import NoJudgement, ScorerError, ScorerRaised, portable
from app.scorers.report import Report
from app.scorers.worker import belong_to_the_service, target_of_source

_SIGN_EVERY = 1.0


class Host:
    """Runs what the service sends, until that goes away.

    It gets ("load", ref, source), which it answers with ("loaded", ref), ("run", number, ref, arguments, seconds, task
    id, promised) and ("stop", number). It sends ("asking", number, *told) and ("ended", number, outcome, *told), where
    told is the lineage as JSON and the amounts of a report, and ("alive",) while nothing keeps its event loop. A
    scorer may ask somebody once ("told", number) has come, which answers "asking"; the first one comes unasked if it is
    promised. What is sent is made of bytes, texts and numbers, so that nothing a scorer made runs in the service.
    """

    def __init__(self) -> None:
        self._coroutines = Coroutines()
        self._sources: dict[str, ScorerSource] = {}
        self._running: dict[int, Running] = {}
        self._asking: dict[int, deque[asyncio.Future[None]]] = {}  # those of a run that wait for "told"
        self._promised: dict[int, asyncio.Future[None]] = {}  # for whoever asks first in a run
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
        self._sources[ref] = source
        with suppress(BaseException):  # which those who run it are told
            target_of_source(source)
        self._channel.send(("loaded", ref))

    def _run(
        self, number: int, ref: str, arguments: dict[str, Any], seconds: float, task_id: str, promised: bool
    ) -> None:
        report = Report(task_id, ref)
        report.on_asking = partial(self._ask, number, report)
        done = partial(self._done, number, report)
        if promised:
            self._promised[number] = self._waits(number)
        try:
            target = target_of_source(self._sources[ref])
            self._running[number] = self._coroutines.begin(ref, target, arguments, seconds, report, done)
        except ScorerError as error:
            done(error)
        except BaseException as error:
            done(ScorerRaised.of(error))

    def _stop(self, number: int) -> None:
        self._forget(number)
        if (running := self._running.pop(number, None)) is not None:
            running.cancel()

    async def _ask(self, number: int, report: Report) -> None:
        """Have the service write that somebody is about to be asked, and wait until it has."""
        told = self._promised.pop(number, None)
        if told is None:
            self._channel.send(("asking", number, *_told(report)))
            told = self._waits(number)
        await told

    def _waits(self, number: int) -> "asyncio.Future[None]":
        told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asking.setdefault(number, deque()).append(told)
        return told

    def _told(self, number: int) -> None:
        waiting = self._asking.get(number)
        if waiting:
            told = waiting.popleft()
            if not told.done():
                told.set_result(None)

    def _done(self, number: int, report: Report, outcome: bytes | ScorerError) -> None:
        self._running.pop(number, None)
        self._forget(number)
        try:
            told = _told(report)
        except (TypeError, ValueError) as error:  # the scorer has written into its report what it should not
            outcome, told = NoJudgement("invalid_report", str(error)), _told(Report())
        self._channel.send(("ended", number, portable(outcome) if isinstance(outcome, ScorerError) else outcome, *told))

    def _forget(self, number: int) -> None:
        self._promised.pop(number, None)
        self._asking.pop(number, None)


def _told(report: Report) -> tuple[bytes, tuple[int, ...]]:
    """What a report tells, as nothing but JSON and numbers. Raises TypeError or ValueError."""
    return orjson.dumps(report.lineage), tuple(map(int, report.amounts))


def main() -> None:
    """Serve the service: the arguments are its module path, our end of the connection, its pid and its log level."""
    _, fd, parent, level = sys.argv[1:]
    belong_to_the_service()
    if os.getppid() != int(parent):
        return  # it ended before this process belonged to it
    logging.basicConfig(level=int(level), format="[%(asctime)s] [%(process)d] [%(levelname)s] %(message)s")
    gc.set_threshold(200_000, 20, 100)  # what runs here is mostly made and dropped: as app/worker
    connection = socket.socket(fileno=int(fd))
    connection.set_inheritable(False)  # a child of a scorer would keep it open
    uvloop.run(Host.serve(connection))
