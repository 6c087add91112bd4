"""Running a scorer on a call: inline, as a coroutine in a host, or in a worker process."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from app.scorers.base import Call
from app.scorers.bound import BoundScorer
from app.scorers.calling import call_scorer
from app.scorers.errors import ScorerError
from app.scorers.host_process import HostedRun, OnRequest
from app.scorers.hosts import Hosts
from app.scorers.processes import WorkerProcesses
from app.scorers.report import OnOutcome, Outcome, Report

DEFAULT_PROCESSES = 16


class Runner:
    """Runs scorers so that none can stop another. Use it as an async context, or `start()` and `stop()` it.

    `processes` is the number of worker processes at most; `per_scorer` how many of them one scorer (by ref) may use,
    by default one for each processor. The event loop that starts it is the one that uses it.
    """

    def __init__(self, *, processes: int = DEFAULT_PROCESSES, per_scorer: int | None = None) -> None:
        self._total = processes
        self._per_scorer = per_scorer or _processors()
        self._hosts = Hosts()
        self._processes: WorkerProcesses | None = None
        self._folder: Path | None = None

    @property
    def processes_of_one(self) -> int:
        """How many worker processes one scorer may use at a time."""
        return self._per_scorer

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self, folder: Path | None = None) -> None:
        """Make ready. Worker processes and hosts are started when first needed.

        Files are made in `folder`, which no other process uses, else in a temporary folder.
        """
        self._folder = folder
        if self._hosts.closed:
            self._hosts = Hosts()

    async def stop(self) -> None:
        """End the hosts, whose runs fail. Other callers of `run` have to be cancelled."""
        await self._hosts.close()
        if self._processes is not None:
            self._processes.close()
            self._processes = None

    def run_inline(self, bound: BoundScorer, call: Call) -> bytes:
        """The score as JSON bytes, at once. Only if `bound.inline_for(call)`. Raises ScorerError."""
        return call_scorer(bound.target, bound.arguments.of_call(call))

    async def run(
        self,
        bound: BoundScorer,
        call: Call,
        report: Report | None = None,
        on_request: OnRequest | None = None,
    ) -> bytes:
        """The score as JSON bytes. What the scorer reports is copied into `report`, also if it fails.

        Its time-out counts from when the scorer starts, not while it waits for a worker process.
        Raises ScorerError. Cancelling stops the scorer: its process is killed, its coroutine cancelled.
        """
        if bound.inline_for(call):
            return self.run_inline(bound, call)
        report = Report() if report is None else report
        if bound.mode == "async":
            return await self._run_coroutine(bound, call, report, on_request)
        if self._hosts.closed:
            raise RuntimeError("The runner has been stopped.")
        if self._processes is None:
            self._processes = WorkerProcesses(self._total, self._per_scorer, self._folder)
        return await self._processes.run(bound, bound.arguments.of_call(call), report)

    def ready(self, bound: BoundScorer, when: Callable[[], None]) -> bool:
        """Whether `begin` would start the async scorer at once; if not, `when` is called when to ask again."""
        return self._hosts.ready(bound, when)

    def begin(
        self,
        bound: BoundScorer,
        call: Call,
        report: Report,
        on_outcome: OnOutcome,
        on_request: OnRequest | None = None,
    ) -> HostedRun:
        """Start an async scorer. `on_outcome` gets the score as JSON bytes or the error, unless the run is cancelled.

        Like `run`, but without an asyncio task that waits. Raises ScorerError.
        """
        return self._hosts.begin(bound, bound.arguments.of_call(call), report, on_outcome, on_request)

    def flush(self) -> None:
        """Start now what would be started at the end of this turn."""
        self._hosts.flush()

    async def _run_coroutine(
        self,
        bound: BoundScorer,
        call: Call,
        report: Report,
        on_request: OnRequest | None,
    ) -> bytes:
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        def on_outcome(outcome: Outcome) -> None:
            if not future.done():
                future.set_result(outcome)

        running = self.begin(bound, call, report, on_outcome, on_request)
        try:
            outcome = await future
        except asyncio.CancelledError:
            running.cancel()
            raise
        if isinstance(outcome, ScorerError):
            try:
                raise outcome
            finally:
                del outcome, future  # which would form a reference cycle with this frame
        return outcome


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1
