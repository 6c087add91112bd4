"""Running scorers in worker processes that can be killed."""

import asyncio
import signal
from asyncio import SubprocessTransport
from pathlib import Path
from types import TracebackType
from typing import Any

from anyio import BrokenWorkerProcess, CancelScope, CapacityLimiter, to_process
from anyio.abc import Process

from app.scorers.bound import BoundScorer
from app.scorers.errors import ScorerDied, ScorerError, ScorerTimeout
from app.scorers.report import Report
from app.scorers.slots import ProcessSlots
from app.scorers.starts import StartSignals
from app.scorers.worker import Job, Reply, run_job

START_ALLOWANCE = 60.0
"""Seconds that a process may take to start and to import a scorer, on top of the scorer's time-out."""

_ASYNCIO_DOES_NOT_KNOW = 255


class WorkerProcesses:
    """Runs scorers in at most `total` processes at a time. Made and closed on the event loop that uses it.

    `folder` is where the pipe for start signals may lie; see there.
    """

    def __init__(self, total: int, per_scorer: int, folder: Path | None = None) -> None:
        self.slots = ProcessSlots(total, per_scorer)
        self._limiter = CapacityLimiter(total)
        self._starts = StartSignals(folder)

    def close(self) -> None:
        """Stop listening. Idle processes end with the event loop."""
        self._starts.close()

    async def run(self, bound: BoundScorer, arguments: dict[str, Any], report: Report) -> bytes:
        """Wait for a slot, then run; `report` takes over what the scorer reports.

        Its time-out counts from when the scorer itself starts. Raises ScorerError. Cancelling kills the process.
        """
        async with self.slots.hold(bound.ref):
            reply = await self._run(bound, arguments)
        report.update(reply.snapshot)
        if isinstance(reply.outcome, ScorerError):
            try:
                raise reply.outcome
            finally:
                del reply  # which would form a reference cycle with this frame
        return reply.outcome

    async def _run(self, bound: BoundScorer, arguments: dict[str, Any]) -> Reply:
        seconds, has_started = bound.timeout, False
        now = asyncio.get_running_loop().time  # not anyio's, which needs a current task: a signal comes outside of any

        def start_clock() -> None:
            nonlocal has_started
            has_started = True
            scope.deadline = now() + seconds

        reply: Reply | None = None
        with (
            CancelScope(deadline=now() + START_ALLOWANCE + seconds) as scope,
            self._starts.expecting(start_clock) as run_id,
        ):
            job = Job(bound.source, arguments, seconds, self._starts.path, run_id)
            reply = await _in_process(job, self._limiter)
        if reply is None:
            if has_started:
                raise ScorerTimeout(f"It ran longer than its time-out of {seconds:g} s.")
            raise ScorerDied(f"It did not start in its worker process within {START_ALLOWANCE + seconds:g} s.")
        return reply


async def _in_process(job: Job, limiter: CapacityLimiter) -> Reply:
    try:
        return await to_process.run_sync(run_job, job, cancellable=True, limiter=limiter)
    except BrokenWorkerProcess as error:
        raise ScorerDied(_how_it_broke(error)) from error
    except Exception as error:
        raise ScorerDied(f"No worker process could run it: {type(error).__name__}: {error}") from error


def _how_it_broke(error: BrokenWorkerProcess) -> str:
    process = _process_of(error.__cause__.__traceback__ if error.__cause__ else None)
    code = exit_code(process) if process else None
    if code is None:
        return f"Its process broke: {error.__cause__ or error}."
    return how_it_ended(code)


def how_it_ended(code: int) -> str:
    """How a worker process or a host ended, by its exit code."""
    if code >= 0:
        return f"Its process ended with exit code {code}."
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = "signal"
    hint = "; perhaps it ran out of memory" if -code == signal.SIGKILL else ""
    return f"Its process was killed by {name} ({-code}){hint}."


def exit_code(process: Process | asyncio.subprocess.Process) -> int | None:
    """The exit code of a process, even if asyncio missed it."""
    code = process.returncode
    if code != _ASYNCIO_DOES_NOT_KNOW:
        return code
    # The kill after every breakdown may reap a dead process before asyncio does; then only `Popen` knows.
    transport: SubprocessTransport | None = getattr(process, "_transport", None)
    popen = transport.get_extra_info("subprocess") if transport else None
    return popen.returncode if popen else None


def _process_of(frames: TracebackType | None) -> Process | None:
    """The process that anyio gave up on, which it names only in its own frames."""
    while frames is not None:
        found = frames.tb_frame.f_locals.get("process")
        if isinstance(found, Process):
            return found
        frames = frames.tb_next
    return None
