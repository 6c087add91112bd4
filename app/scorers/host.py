"""What runs inside a host: an event loop for async scorers. See app/scorers/host_process."""

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
from app.scorers.errors import ScorerError
from app.scorers.loading import target_or_error
from app.scorers.report import Outcome, Report, TaskParts, portable_end
from app.scorers.worker import belong_to_the_service

_ALIVE_EVERY = 1.0  # seconds


class RunState:
    """One run, and the requests in it that wait for a permit to be sent."""

    __slots__ = ("permits", "report", "running", "unclaimed", "waiting")

    def __init__(self, report: Report) -> None:
        self.report = report
        self.running: RunningCoroutine | None = None
        self.waiting: deque[asyncio.Future[None]] = deque()
        self.unclaimed: asyncio.Future[None] | None = None  # resolves with the permit that the service sends unasked
        self.permits = 0  # that were used

    def next_permit(self) -> "asyncio.Future[None]":
        permit: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(permit)
        return permit


class Host:
    """Runs what the service sends, until the service goes away.

    The service sends:

    - ("load", ref, source), which is answered with ("loading", ref) and then ("loaded", ref, usable);
    - ("run", number, ref, arguments, seconds, task, always_asks) and ("stop", number);
    - ("may_send", number), a permit for one request to a provider.

    A host sends:

    - ("request_starting", number, permits, snapshot): a scorer is about to send a request, and waits for a permit.
      The first permit of a run that `always_asks` comes unasked. `permits` were used so far, and `snapshot` is of the
      report, which counts their requests;
    - ("ended", number, outcome, snapshot);
    - ("clogged", ref): too many runs of a scorer ignored their cancellation, so this process is to be replaced;
    - ("alive",), as long as nothing blocks its event loop.

    Its messages are made of bytes, texts and numbers, so that no object of a scorer is unpickled in the service.
    """

    def __init__(self) -> None:
        self._coroutines = Coroutines(lambda ref: self._channel.send(("clogged", ref)))
        self._targets: dict[str, ScorerFunction | ScorerError] = {}  # by ref; or why it cannot be loaded
        self._runs: dict[int, RunState] = {}
        self._channel = Channel(self._on_message)

    @classmethod
    async def serve(cls, connection: socket.socket) -> None:
        """Serve until the connection ends, and with it this process."""
        host = cls()
        await asyncio.get_running_loop().create_connection(lambda: host._channel, sock=connection)
        host._send_alive()
        await host._channel.lost
        os._exit(0)  # at once: nobody waits for the runs that are left, and they might not end

    def _send_alive(self) -> None:
        self._channel.send(("alive",))
        asyncio.get_running_loop().call_later(_ALIVE_EVERY, self._send_alive)

    def _on_message(self, message: Message) -> None:
        kind, *rest = message
        if kind == "load":
            self._load(*rest)
        elif kind == "run":
            self._run(*rest)
        elif kind == "may_send":
            self._may_send(*rest)
        elif kind == "stop":
            self._stop(*rest)

    def _load(self, ref: str, source: ScorerSource) -> None:
        self._send_now("loading", ref)
        target = self._targets[ref] = target_or_error(source)
        self._send_now("loaded", ref, not isinstance(target, ScorerError))

    def _send_now(self, *message: Any) -> None:
        """Send before work that may block: the service allows a load more time than a scorer that does not await."""
        self._channel.send(message)
        self._channel.flush()

    def _run(
        self, number: int, ref: str, arguments: dict[str, Any], seconds: float, task: TaskParts, always_asks: bool
    ) -> None:
        run = self._runs[number] = RunState(Report(task))
        # By number: a run that refers to itself would be left to the garbage collector, which stops all for 0.2 s.
        run.report.before_request = partial(self._before_request, number)
        if always_asks:
            run.unclaimed = run.next_permit()
        on_outcome = partial(self._on_outcome, number)
        target = self._targets[ref]
        if isinstance(target, ScorerError):
            on_outcome(target)
            return
        run.running = self._coroutines.begin(ref, target, arguments, seconds, run.report, on_outcome, number)

    def _stop(self, number: int) -> None:
        run = self._forget(number)
        if run is not None and run.running is not None:
            run.running.cancel()

    async def _before_request(self, number: int) -> None:
        """Wait for a permit, which the service gives once the log says that a request is about to be sent."""
        run = self._runs.get(number)
        if run is None:
            raise asyncio.CancelledError  # the run has ended: there will be no permit
        permit, run.unclaimed = run.unclaimed, None
        if permit is None:
            self._channel.send(("request_starting", number, run.permits, run.report.snapshot()))
            permit = run.next_permit()
        await permit
        run.permits += 1

    def _may_send(self, number: int) -> None:
        run = self._runs.get(number)
        if run is not None and run.waiting:
            permit = run.waiting.popleft()
            if not permit.done():
                permit.set_result(None)

    def _on_outcome(self, number: int, outcome: Outcome) -> None:
        run = self._forget(number)
        if run is not None:
            self._channel.send(("ended", number, *portable_end(outcome, run.report)))

    def _forget(self, number: int) -> RunState | None:
        run = self._runs.pop(number, None)
        for permit in () if run is None else run.waiting:
            permit.cancel()  # it will never come
        return run


def main() -> None:
    """Serve the service.

    The arguments are its module path, our ends of the connection and of a pipe for dumps, its pid and its log level.
    """
    _, fd, dumps, parent, level = sys.argv[1:]
    belong_to_the_service()
    if os.getppid() != int(parent):
        return  # the service ended before this process would have ended with it
    dump.offer(int(dumps))
    logging.basicConfig(level=int(level), format="[%(asctime)s] [%(process)d] [%(levelname)s] %(message)s")
    gc.set_threshold(200_000, 20, 100)  # most objects are short-lived: as in app/worker
    connection = socket.socket(fileno=int(fd))
    connection.set_inheritable(False)  # a child of a scorer would keep it open
    uvloop.run(Host.serve(connection))
