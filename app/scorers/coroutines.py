"""Running async scorers on the event loop."""

import asyncio
import contextvars
import logging
from collections import Counter
from types import FunctionType
from typing import Any

from app.scorers import dump
from app.scorers.base import ScorerFunction
from app.scorers.errors import SAID_BY_SCORERS, ScorerError, ScorerRaised, ScorerTimeout
from app.scorers.report import Done, Outcome, Report, current
from app.scorers.worker import encode_checked

logger = logging.getLogger(__name__)

CANCEL_GRACE = 0.1
"""Seconds that a coroutine has to end after it was cancelled, before it counts as abandoned."""

MAX_ABANDONED = 16
"""Runs of one scorer that may still be alive after they ignored their cancellation."""


class RunningCoroutine:
    """One run of an async scorer: a task of the event loop, and the timer that ends it."""

    __slots__ = ("_done", "_owner", "_ref", "_task", "_timer")

    def __init__(
        self, owner: "Coroutines", ref: str, task: "asyncio.Task[Outcome]", seconds: float, done: Done
    ) -> None:
        self._owner = owner
        self._ref = ref
        self._task = task
        self._done: Done | None = done
        # What follows runs in nobody's context: neither in the scorer's nor in that of whoever started it.
        loop, context = asyncio.get_running_loop(), owner.context
        self._timer = loop.call_later(seconds, self._expire, seconds, context=context)
        task.add_done_callback(self._ended, context=context)

    def cancel(self) -> None:
        """Stop it; nobody is told what came of it."""
        if self._done is not None:
            self._done = None
            self._timer.cancel()
            self._owner.stop(self._ref, self._task)

    def _expire(self, seconds: float) -> None:
        done = self._done
        if done is not None and not self._task.done():  # else the loop is about to tell what came of it
            self.cancel()
            done(ScorerTimeout(f"It ran longer than its time-out of {seconds:g} s."))

    def _ended(self, task: "asyncio.Task[Outcome]") -> None:
        done, self._done = self._done, None
        if done is not None:
            self._timer.cancel()
            done(_outcome(task))


class Coroutines:
    """Runs async scorers, and keeps track of those that ignore their cancellation."""

    def __init__(self) -> None:
        self.context = contextvars.Context()
        self._abandoned: Counter[str] = Counter()
        self._complained: set[str] = set()

    def abandoned(self, ref: str) -> int:
        """How many runs of a scorer ignored their cancellation and are alive."""
        return self._abandoned[ref]

    def begin(
        self,
        ref: str,
        target: ScorerFunction,
        arguments: dict[str, Any],
        seconds: float,
        report: Report,
        done: Done,
        number: int = 0,
    ) -> RunningCoroutine:
        """Run for at most `seconds`; the scorer fills `report`. `done` gets what came of it, unless it is cancelled.

        `number` is what a dump of the process calls the run.

        `done` is called in time even if the scorer does not end. Raises ScorerTimeout if too many of its runs are
        alive that should not be.
        """
        if self._abandoned[ref] >= MAX_ABANDONED:
            raise ScorerTimeout(
                f"It was not started: {MAX_ABANDONED} earlier runs ignored their cancellation and are still running."
            )
        # A context of its own: what the scorer sets stays with it, and it sees nothing of its caller's.
        context = contextvars.Context()
        context.run(current.set, report)
        task = asyncio.get_running_loop().create_task(_named(number)(target, arguments), context=context)
        return RunningCoroutine(self, ref, task, seconds, done)

    def stop(self, ref: str, task: "asyncio.Task[Outcome]") -> None:
        """Cancel a run; it is counted if it is still there a moment later."""
        task.cancel()
        asyncio.get_running_loop().call_later(CANCEL_GRACE, self._abandon, ref, task)

    def _abandon(self, ref: str, task: "asyncio.Task[Outcome]") -> None:
        if task.done():
            return
        self._abandoned[ref] += 1
        task.add_done_callback(lambda _: self._ended(ref))
        if ref not in self._complained:
            self._complained.add(ref)
            logger.warning("%s ignored its cancellation and is still running; its late result will be dropped.", ref)

    def _ended(self, ref: str) -> None:
        self._abandoned[ref] -= 1
        if not self._abandoned[ref]:
            del self._abandoned[ref]


def _named(number: int) -> FunctionType:
    """`_score`, by a name that tells runs apart."""
    return FunctionType(_score.__code__.replace(co_name=dump.name_of(number)), globals())


async def _score(target: ScorerFunction, arguments: dict[str, Any]) -> Outcome:
    """Returns errors: asyncio lets a SystemExit that leaves a task end the event loop."""
    try:
        output = await target(**arguments)
    except SAID_BY_SCORERS as error:
        return error
    except asyncio.CancelledError:
        raise
    except BaseException as error:
        return ScorerRaised.of(error)
    try:
        return encode_checked(output)
    except ScorerError as error:
        return error


def _outcome(task: "asyncio.Task[Outcome]") -> Outcome:
    if task.cancelled():
        return ScorerRaised("CancelledError", "The scorer cancelled itself.", "")
    try:
        return task.result()
    except BaseException as error:  # else nobody would ever be told that it has ended
        return ScorerRaised.of(error)
