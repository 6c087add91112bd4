"""One host: its process, the runs in it, and why they end if it does (see app/scorers/hosts)."""

import asyncio
import contextvars
import itertools
import logging
import math
import os
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from app.scorers import dump
from app.scorers.bound import BoundScorer
from app.scorers.channel import Channel, Message
from app.scorers.coroutines import MAX_ABANDONED
from app.scorers.dump import Dump
from app.scorers.errors import BystanderDied, ScorerDied, ScorerError, ScorerTimeout
from app.scorers.processes import START_ALLOWANCE, exit_code, how_it_ended
from app.scorers.report import OnOutcome, Outcome, Report, ReportSnapshot

log = logging.getLogger(__name__)

OnRequest = Callable[[Callable[[], None]], None]
"""Called with `may_send` when a scorer is about to send a request, and at the start of one that always sends some. The
request waits until `may_send` is called."""

MOST_SILENT = 10.0
"""Seconds without a message after which a host counts as hung. While it starts or loads: START_ALLOWANCE."""
_LOOK_EVERY = 1.0  # seconds
_FRAMES = 10  # of a hung host, in the log

_MAIN = "import os, sys; sys.path[:] = sys.argv[1].split(os.pathsep); from app.scorers.host import main; main()"


class HostedRun:
    """One run of an async scorer."""

    __slots__ = ("_host", "_number", "due", "on_outcome", "on_request", "permits", "ref", "report", "seconds")

    def __init__(
        self,
        host: "HostProcess",
        number: int,
        bound: BoundScorer,
        report: Report,
        on_outcome: OnOutcome,
        on_request: OnRequest | None,
    ) -> None:
        self._host = host
        self._number = number
        self.ref = bound.ref
        self.seconds = bound.timeout
        self.report = report
        self.on_outcome = on_outcome
        self.on_request = on_request
        self.permits = 0  # to send a request, that were given
        self.due = math.inf  # when its host ends it, once it has started

    def cancel(self) -> None:
        """Stop it; its outcome is dropped."""
        self._host.stop(self._number)

    def request_starting(self) -> None:
        """The scorer is about to send a request: give it a permit as soon as that is allowed."""
        if self.on_request is None:
            self._give_permit()
        else:
            self.on_request(self._give_permit)

    def end(self, outcome: Outcome) -> None:
        """Hand the outcome to whoever started the run."""
        try:
            self.on_outcome(outcome)
        except Exception:  # it must not affect other runs
            log.exception("the outcome of a scorer could not be processed")

    def _give_permit(self) -> None:
        if self._host.may_send(self._number):
            self.permits += 1
            self.report.unanswered += 1  # until the host reports more


class HostProcess:
    """One process, from when it is first needed until it ends, by itself or because it hangs."""

    def __init__(self, on_end: Callable[["HostProcess"], None]) -> None:
        self._on_end = on_end
        self._numbers = itertools.count(1)
        self._running: dict[int, HostedRun] = {}
        self._loaded: set[str] = set()  # refs
        self._unloadable: set[str] = set()  # refs that could not be loaded when that was tried last
        self._loading: dict[str, set[Callable[[], None]]] = {}  # by ref, callbacks for when that is over
        self._last_message_at = asyncio.get_running_loop().time()
        self._loads = True  # it loads a scorer, by its last message; or it still starts
        self._hung = self._closed = False
        self._dump = Dump([], None)  # where it hung
        self._clogged_by = ""  # the ref of a scorer with too many runs that ignored their cancellation
        self.channel = Channel(self._on_message)
        # An empty context: nothing in it may see or change the stream event that is current now.
        self.life = asyncio.get_running_loop().create_task(self._live(), context=contextvars.Context())

    def begin(
        self,
        bound: BoundScorer,
        arguments: dict[str, Any],
        report: Report,
        on_outcome: OnOutcome,
        on_request: OnRequest | None,
    ) -> HostedRun:
        """Run a scorer; see `Hosts.begin`."""
        number = next(self._numbers)
        running = self._running[number] = HostedRun(self, number, bound, report, on_outcome, on_request)
        if bound.ref in self._loaded:
            self._start(number, bound, arguments)
        else:
            # Only once it is loaded: its time-out counts from the start, and the first permit goes out then.
            self._load(bound, partial(self._start_later, number, bound, arguments))
        return running

    def _start(self, number: int, bound: BoundScorer, arguments: dict[str, Any]) -> None:
        running = self._running[number]
        try:
            self.channel.send(("run", number, bound.ref, arguments, running.seconds, running.report.task, bound.asks))
            running.due = asyncio.get_running_loop().time() + running.seconds
            if bound.asks:
                running.request_starting()  # now, so that it is logged while the scorer prepares its request
        except BaseException:
            running.cancel()
            raise

    def _start_later(self, number: int, bound: BoundScorer, arguments: dict[str, Any]) -> None:
        running = self._running.get(number)
        if running is not None:  # else it was stopped meanwhile, or the host has ended
            try:
                self._start(number, bound, arguments)
            except Exception as error:
                running.end(ScorerError(repr(error)))

    def stop(self, number: int) -> None:
        """Stop a run and drop its outcome."""
        if self._running.pop(number, None) is not None:
            self.channel.send(("stop", number))

    def may_send(self, number: int) -> bool:
        """Let a run send a request; returns whether it still runs."""
        if number not in self._running:
            return False
        self.channel.send(("may_send", number))
        return True

    def ready(self, bound: BoundScorer, when: Callable[[], None]) -> bool:
        """Whether a run would start, or fail, at once; if not, `when` is called once it would or the host has ended.

        A scorer that could not be loaded is loaded again by its next run.
        """
        if bound.ref in self._loaded or bound.ref in self._unloadable:
            return True
        self._load(bound, when)
        return False

    def unloadable(self, before: set[str]) -> set[str]:
        """Refs that could not be loaded: those known `before` that this host has not loaded either, and its own."""
        return (before - self._loaded) | self._unloadable | self._loading.keys()

    def close(self) -> None:
        """End it; `life` is done once it has ended."""
        self._closed = True
        self._give_up()

    def _give_up(self) -> None:
        """Have `_live` end the process; no run starts here any more."""
        if not self.channel.lost.done():
            self.channel.lost.set_result(None)

    def _load(self, bound: BoundScorer, when: Callable[[], None]) -> None:
        if bound.ref not in self._loading:
            self.channel.send(("load", bound.ref, bound.source))
            self._loading[bound.ref] = set()
        self._loading[bound.ref].add(when)

    def _on_message(self, message: Message) -> None:
        if self._hung:
            return  # the signal that asked for the dump may have woken it
        self._last_message_at = asyncio.get_running_loop().time()
        kind, *rest = message
        self._loads = kind == "loading"
        if kind == "loaded":
            self._on_loaded(*rest)
        elif kind == "request_starting":
            self._on_request_starting(*rest)
        elif kind == "ended":
            self._on_ended(*rest)
        elif kind == "clogged":
            self._on_clogged(*rest)

    def _on_loaded(self, ref: str, usable: bool) -> None:
        waiting = self._loading.pop(ref)
        self._unloadable.discard(ref)
        (self._loaded if usable else self._unloadable).add(ref)
        for when in waiting:
            when()

    def _on_request_starting(self, number: int, permits: int, snapshot: ReportSnapshot) -> None:
        running = self._running.get(number)
        if running is not None:
            running.report.update(snapshot)
            running.report.unanswered += running.permits - permits  # permits that the snapshot does not count yet
            running.request_starting()

    def _on_ended(self, number: int, outcome: Outcome, snapshot: ReportSnapshot) -> None:
        running = self._running.pop(number, None)
        if running is not None:
            running.report.update(snapshot)
            running.end(outcome)

    def _on_clogged(self, ref: str) -> None:
        self._clogged_by = ref
        log.warning("%d runs of %s ignored their cancellation, so their process is killed.", MAX_ABANDONED, ref)
        self._give_up()

    async def _live(self) -> None:
        how = "The service stops."
        try:
            process, connection, dumps = await _start()
            try:
                await asyncio.get_running_loop().create_connection(lambda: self.channel, sock=connection)
                await self._watch(process)
                if self._hung and not self._loads:
                    self._dump = await dump.take(process, dumps)
            finally:
                os.close(dumps)
                self._on_end(self)  # so that no run starts here any more
                self.channel.close()
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
                if not self._closed:
                    how = how_it_ended(exit_code(process) or 0)
        except Exception as error:
            how = f"No process could be started for it: {error}."
        finally:
            self._on_end(self)
            self._end(how)

    async def _watch(self, process: Process) -> None:
        """Wait until the process ends, is to be closed, or hangs."""
        now = asyncio.get_running_loop().time
        ended = asyncio.ensure_future(process.wait())
        ends: list[asyncio.Future[Any]] = [self.channel.lost, ended]
        try:
            while not (self.channel.lost.done() or ended.done() or self._hung):
                looked_at = now()
                await asyncio.wait(ends, timeout=_LOOK_EVERY, return_when=asyncio.FIRST_COMPLETED)
                if now() - looked_at < 2 * _LOOK_EVERY:  # else this process was the slow one
                    self._hung = now() - self._last_message_at > (START_ALLOWANCE if self._loads else MOST_SILENT)
        finally:
            ended.cancel()

    def _end(self, how: str) -> None:
        now = asyncio.get_running_loop().time()
        running, self._running = self._running, {}
        if self._hung and not self._loads:
            self._log_hang(running)
        blocks = running.get(self._dump.run or 0)
        for number, run in running.items():
            if self._clogged_by:
                why = f"In its process {MAX_ABANDONED} runs of {self._clogged_by} ignored their cancellation."
                run.end(BystanderDied(why))
            elif self._hung and self._loads:
                run.end(ScorerDied(f"A scorer of its package took more than {START_ALLOWANCE:g} s to load."))
            elif self._dump.run not in (None, number):
                whose = "another run" if blocks is None else f"a run of {blocks.ref}"
                run.end(BystanderDied(f"In its process {whose} did not await for {MOST_SILENT:g} s."))
            elif self._hung and run.due < now:
                run.end(ScorerTimeout(f"It ran longer than its time-out of {run.seconds:g} s, and its process hung."))
            elif self._hung:
                who = "An async scorer of its package" if self._dump.run is None else "It"
                run.end(ScorerDied(f"{who} did not await for {MOST_SILENT:g} s{self._place()}."))
            else:
                run.end(ScorerDied(how))
        for waiting in self._loading.values():
            for when in waiting:
                when()

    def _place(self) -> str:
        return f", at {self._dump.frames[0]}" if self._dump.frames else ""

    def _log_hang(self, running: dict[int, HostedRun]) -> None:
        blocks = running.get(self._dump.run or 0)
        who = "An async scorer" if blocks is None else blocks.ref
        where = "".join(f"\n  {frame}" for frame in self._dump.frames[:_FRAMES]) or " nobody knows."
        log.warning("%s did not await for %g s, so its process is killed. It was at:%s", who, MOST_SILENT, where)


async def _start() -> tuple[Process, socket.socket, int]:
    """A process, our end of its socket, and our end of the pipe into which it dumps its stack. Raises OSError."""
    ours, theirs = socket.socketpair()
    dumps, their_dumps = os.pipe()
    os.set_blocking(dumps, False)
    # -P: modules in the current directory are found only if the service finds them too.
    what = [
        os.pathsep.join(path for path in sys.path if isinstance(path, str)),
        str(theirs.fileno()),
        str(their_dumps),
        str(os.getpid()),
        str(logging.root.level),
    ]
    command = [sys.executable, "-P", "-c", _MAIN, *what]
    try:
        # A session of its own, so that Ctrl-C is for the service alone.
        process = await asyncio.create_subprocess_exec(
            *command, stdin=DEVNULL, pass_fds=[theirs.fileno(), their_dumps], start_new_session=True
        )
    except BaseException:
        ours.close()
        os.close(dumps)
        raise
    finally:
        theirs.close()
        os.close(their_dumps)
    return process, ours, dumps
