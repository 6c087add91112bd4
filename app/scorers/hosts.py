"""Running async scorers in processes beside the service: hosts, one for the scorers of each package.

They never run on the service's own event loop, so one that computes, blocks or crashes holds up none but its package's.
"""

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
from app.scorers.dump import Dump
from app.scorers.errors import BystanderDied, ScorerDied, ScorerError, ScorerTimeout
from app.scorers.processes import START_ALLOWANCE, exit_code, how_it_ended
from app.scorers.report import Done, Outcome, Report, Told

log = logging.getLogger(__name__)

Asking = Callable[[Callable[[], None]], None]
"""Told when a scorer is about to ask somebody, at the start if it always does; it may, once what `Asking` was given
has been called."""

MOST_SILENT = 10.0
"""Seconds without a sign of a host's event loop after which it hangs. While it starts or loads: START_ALLOWANCE."""
_LOOK_EVERY = 1.0
_FRAMES = 10  # of what blocked, in the log

_MAIN = "import os, sys; sys.path[:] = sys.argv[1].split(os.pathsep); from app.scorers.host import main; main()"


class HostedRun:
    """One run of an async scorer."""

    __slots__ = ("_host", "_number", "asking", "done", "due", "ref", "report", "seconds", "words")

    def __init__(
        self,
        host: "HostProcess",
        number: int,
        ref: str,
        seconds: float,
        report: Report,
        done: Done,
        asking: Asking | None,
    ) -> None:
        self._host = host
        self._number = number
        self.ref = ref
        self.seconds = seconds
        self.report = report
        self.done = done
        self.asking = asking
        self.words = 0  # that somebody may be asked
        self.due = math.inf  # when its host ends it, once it has begun

    def cancel(self) -> None:
        """Stop it; nobody is told what came of it."""
        self._host.stop(self._number)

    def ask(self) -> None:
        """Let the scorer ask somebody as soon as that may be."""
        if self.asking is None:
            self._may_ask()
        else:
            self.asking(self._may_ask)

    def tell(self, outcome: Outcome) -> None:
        """Say what came of it."""
        try:
            self.done(outcome)
        except Exception:  # it must harm no other run
            log.exception("what came of a scorer could not be told")

    def _may_ask(self) -> None:
        if self._host.told(self._number):
            self.words += 1
            self.report.unanswered += 1  # should it end without telling more


class HostProcess:
    """One process, from when it is first needed until it ends, by itself or because it hangs."""

    def __init__(self, ended: Callable[["HostProcess"], None]) -> None:
        self._ended = ended
        self._numbers = itertools.count(1)
        self._running: dict[int, HostedRun] = {}
        self._loaded: set[str] = set()  # refs
        self._useless: set[str] = set()  # refs that could not be loaded when that was tried last
        self._loading: dict[str, set[Callable[[], None]]] = {}  # and who waits for it
        self._heard_at = asyncio.get_running_loop().time()
        self._loads = True  # a scorer, by the last that was heard of it; or it has yet to start
        self._hung = self._closed = False
        self._at = Dump([], None)  # where it hung
        self.channel = Channel(self._received)
        # An empty context: nothing that follows may see, or write through, a stream event that is current now.
        self.life = asyncio.get_running_loop().create_task(self._live(), context=contextvars.Context())

    def begin(
        self,
        bound: BoundScorer,
        arguments: dict[str, Any],
        seconds: float,
        report: Report,
        done: Done,
        asking: Asking | None,
    ) -> HostedRun:
        """Run a scorer; see `Hosts.begin`."""
        number = next(self._numbers)
        running = self._running[number] = HostedRun(self, number, bound.ref, seconds, report, done, asking)
        if bound.ref in self._loaded:
            self._start(number, bound, arguments)
        else:
            # Not before it has tried: until then nobody is about to be asked, and its time has not begun.
            self._load(bound)
            self._loading[bound.ref].add(partial(self._start_later, number, bound, arguments))
        return running

    def _start(self, number: int, bound: BoundScorer, arguments: dict[str, Any]) -> None:
        running = self._running[number]
        try:
            self.channel.send(("run", number, bound.ref, arguments, running.seconds, running.report.task, bound.asks))
            running.due = asyncio.get_running_loop().time() + running.seconds
            if bound.asks:
                running.ask()  # now, so that this is written while the scorer makes up its question
        except BaseException:
            running.cancel()
            raise

    def _start_later(self, number: int, bound: BoundScorer, arguments: dict[str, Any]) -> None:
        running = self._running.get(number)  # unless it was stopped meanwhile, or its host has ended
        if running is not None:
            try:
                self._start(number, bound, arguments)
            except Exception as error:
                running.tell(ScorerError(repr(error)))

    def stop(self, number: int) -> None:
        """Stop a run, of which nobody is told any more."""
        if self._running.pop(number, None) is not None:
            self.channel.send(("stop", number))

    def told(self, number: int) -> bool:
        """Say that a scorer may ask; returns whether it still runs."""
        if number not in self._running:
            return False
        self.channel.send(("told", number))
        return True

    def ready(self, bound: BoundScorer, when: Callable[[], None]) -> bool:
        """Whether a scorer runs, or fails to, at once; if not, `when` is called once it would, or the host has ended.

        One that could not be loaded is loaded again by its next run.
        """
        if bound.ref in self._loaded or bound.ref in self._useless:
            return True
        self._load(bound)
        self._loading[bound.ref].add(when)
        return False

    def left_of(self, useless: set[str]) -> set[str]:
        """Which refs no host could load, of those that were known before, and of those that this one has not."""
        return (useless - self._loaded) | self._useless | self._loading.keys()

    def close(self) -> None:
        """End it; `life` is over once it has."""
        self._closed = True
        if not self.channel.lost.done():
            self.channel.lost.set_result(None)

    def _load(self, bound: BoundScorer) -> None:
        if bound.ref not in self._loaded and bound.ref not in self._loading:
            self.channel.send(("load", bound.ref, bound.source))
            self._loading[bound.ref] = set()

    def _received(self, message: Message) -> None:
        if self._hung:
            return  # the signal that asked where it is may have woken it
        self._heard_at = asyncio.get_running_loop().time()
        what, *rest = message
        self._loads = what == "loading"
        if what == "loaded":
            self._has_loaded(*rest)
        elif what == "asking":
            self._asks(*rest)
        elif what == "ended":
            self._has_ended(*rest)

    def _has_loaded(self, ref: str, usable: bool) -> None:
        waiting = self._loading.pop(ref)
        self._useless.discard(ref)
        (self._loaded if usable else self._useless).add(ref)
        for when in waiting:
            when()

    def _asks(self, number: int, words: int, told: Told) -> None:
        running = self._running.get(number)
        if running is not None:
            running.report.take(told)
            running.report.unanswered += running.words - words  # which it had not heard when it said that
            running.ask()

    def _has_ended(self, number: int, outcome: Outcome, told: Told) -> None:
        running = self._running.get(number)
        if running is not None:
            running.report.take(told)
            del self._running[number]
            running.tell(outcome)

    async def _live(self) -> None:
        how = "The service stops."
        try:
            process, connection, dumps = await _start()
            try:
                await asyncio.get_running_loop().create_connection(lambda: self.channel, sock=connection)
                await self._watch(process)
                if self._hung and not self._loads:
                    self._at = await dump.take(process, dumps)
            finally:
                os.close(dumps)
                self._ended(self)  # nothing new is to begin here
                self.channel.close()
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
                if not self._closed:
                    how = how_it_ended(exit_code(process) or 0)
        except Exception as error:
            how = f"No process could be started for it: {error}."
        finally:
            self._ended(self)
            self._end(how)

    async def _watch(self, process: Process) -> None:
        """Until the process ends, is to end, or hangs."""
        now = asyncio.get_running_loop().time
        ended = asyncio.ensure_future(process.wait())
        ends: list[asyncio.Future[Any]] = [self.channel.lost, ended]
        try:
            while not (self.channel.lost.done() or ended.done() or self._hung):
                looked_at = now()
                await asyncio.wait(ends, timeout=_LOOK_EVERY, return_when=asyncio.FIRST_COMPLETED)
                if now() - looked_at < 2 * _LOOK_EVERY:  # else it is this process that has not listened
                    self._hung = now() - self._heard_at > (START_ALLOWANCE if self._loads else MOST_SILENT)
        finally:
            ended.cancel()

    def _end(self, how: str) -> None:
        now = asyncio.get_running_loop().time()
        running, self._running = self._running, {}
        if self._hung and not self._loads:
            self._complain(running)
        blocks = running.get(self._at.run or 0)
        for number, run in running.items():
            if self._hung and self._loads:
                run.tell(ScorerDied(f"A scorer of its package took more than {START_ALLOWANCE:g} s to load."))
            elif self._at.run not in (None, number):
                whose = "another run" if blocks is None else f"a run of {blocks.ref}"
                run.tell(BystanderDied(f"In its process {whose} did not await for {MOST_SILENT:g} s."))
            elif self._hung and run.due < now:
                run.tell(ScorerTimeout(f"It ran longer than its time-out of {run.seconds:g} s, and its process hung."))
            elif self._hung:
                who = "An async scorer of its package" if self._at.run is None else "It"
                run.tell(ScorerDied(f"{who} did not await for {MOST_SILENT:g} s{self._place()}."))
            else:
                run.tell(ScorerDied(how))
        for waiting in self._loading.values():
            for when in waiting:
                when()

    def _place(self) -> str:
        return f", at {self._at.frames[0]}" if self._at.frames else ""

    def _complain(self, running: dict[int, HostedRun]) -> None:
        blocks = running.get(self._at.run or 0)
        who = "An async scorer" if blocks is None else blocks.ref
        where = "".join(f"\n  {frame}" for frame in self._at.frames[:_FRAMES]) or " nobody knows."
        log.warning("%s did not await for %g s, so its process is killed. It was at:%s", who, MOST_SILENT, where)


class Hosts:
    """Runs async scorers. It belongs to the event loop that it is used on."""

    def __init__(self) -> None:
        self._of: dict[str, HostProcess] = {}
        self._lives: set[asyncio.Task[None]] = set()
        self._useless: set[str] = set()  # refs that the last host which was to load them did not
        self.closed = False

    def ready(self, bound: BoundScorer, when: Callable[[], None]) -> bool:
        """Whether a scorer runs at once: else those that limits let begin one by one would run all together later.

        If not, it is made ready, and `when` is called once it is worth while to ask again. One that no host can load
        counts as ready: its runs say why they cannot run.
        """
        return bound.ref in self._useless or self.closed or self._host_of(bound).ready(bound, when)

    def begin(
        self,
        bound: BoundScorer,
        arguments: dict[str, Any],
        seconds: float,
        report: Report,
        done: Done,
        asking: Asking | None = None,
    ) -> HostedRun:
        """Run for at most `seconds`, and take over into `report` what the scorer tells. Returns at once.

        `done` gets the score as JSON bytes or why there is none, unless the run is cancelled. Raises ScorerDied if it
        is closed, and what `asking` raises.
        """
        if self.closed:
            raise ScorerDied("The service stops.")
        return self._host_of(bound).begin(bound, arguments, seconds, report, done, asking)

    def flush(self) -> None:
        """Send what was begun and said now, and not a round of the event loop later."""
        for host in self._of.values():
            host.channel.flush()

    async def close(self) -> None:
        """End all hosts, for good; who waits is told."""
        self.closed = True
        for host in list(self._of.values()):
            host.close()
        if self._lives:
            await asyncio.wait(self._lives)

    def _host_of(self, bound: BoundScorer) -> HostProcess:
        package = bound.package
        host = self._of.get(package)
        if host is None or host.channel.lost.done():  # which it will say in a moment
            host = self._of[package] = HostProcess(lambda ended: self._forget(package, ended))
            self._lives.add(host.life)
            host.life.add_done_callback(self._lives.discard)
        return host

    def _forget(self, package: str, host: HostProcess) -> None:
        self._useless = host.left_of(self._useless)
        if self._of.get(package) is host:
            del self._of[package]


async def _start() -> tuple[Process, socket.socket, int]:
    """A process, the socket that leads to it, and where it says on a signal where it is. Raises OSError."""
    ours, theirs = socket.socketpair()
    dumps, their_dumps = os.pipe()
    os.set_blocking(dumps, False)
    # -P: what lies in the current directory is found only if the service finds it too.
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
