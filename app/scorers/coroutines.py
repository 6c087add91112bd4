"""Running async scorers on the event loop of a host."""

import asyncio
import contextvars
import logging
from collections import Counter
from collections.abc import Callable
from types import FunctionType
from typing import Any

from app.scorers import dump
from app.scorers.base import ScorerFunction
from app.scorers.calling import encode_checked
from app.scorers.errors import RAISED_BY_SCORERS, ScorerError, ScorerRaised, ScorerTimeout
from app.scorers.report import OnOutcome, Outcome, Report, current

logger = logging.getLogger(__name__)

CANCEL_GRACE = 2.0
"""Seconds that a cancelled coroutine has to end before it counts as abandoned."""

MAX_ABANDONED = 16
"""Abandoned runs of one scorer at which its process is to be replaced."""


class RunningCoroutine:
    """One run of an async scorer: a task of the event loop, and the timer that ends it."""

    __slots__ = ("_on_outcome", "_owner", "_ref", "_task", "_timer")

    def __init__(
        self, owner: "Coroutines", ref: str, task: "asyncio.Task[Outcome]", seconds: float, on_outcome: OnOutcome
    ) -> None:
        self._owner = owner
        self._ref = ref
        self._task = task
        self._on_outcome: OnOutcome | None = on_outcome
        # The callbacks run in an empty context, neither the scorer's nor the caller's.
        loop, context = asyncio.get_running_loop(), owner.context
        self._timer = loop.call_later(seconds, self._expire, seconds, context=context)
        task.add_done_callback(self._ended, context=context)

    def cancel(self) -> None:
        """Stop it; its outcome is dropped."""
        if self._on_outcome is not None:
            self._on_outcome = None
            self._timer.cancel()
            self._owner.stop(self._ref, self._task)

    def _expire(self, seconds: float) -> None:
        on_outcome = self._on_outcome
        if on_outcome is not None and not self._task.done():  # else the loop is about to call `_ended`
            self.cancel()
            on_outcome(ScorerTimeout(f"It ran longer than its time-out of {seconds:g} s."))

    def _ended(self, task: "asyncio.Task[Outcome]") -> None:
        on_outcome, self._on_outcome = self._on_outcome, None
        if on_outcome is not None:
            self._timer.cancel()
            on_outcome(_outcome(task))


class Coroutines:
    """Runs async scorers, and counts the runs that ignore their cancellation.

    `on_limit` is called with the ref of a scorer once `MAX_ABANDONED` of its runs did that and are still alive.
    """

    def __init__(self, on_limit: Callable[[str], None]) -> None:
        self.context = contextvars.Context()
        self._on_limit = on_limit
        self._abandoned: Counter[str] = Counter()
        self._warned: set[str] = set()

    def abandoned(self, ref: str) -> int:
        """How many runs of a scorer ignored their cancellation and are still alive."""
        return self._abandoned[ref]

    def begin(
        self,
        ref: str,
        target: ScorerFunction,
        arguments: dict[str, Any],
        seconds: float,
        report: Report,
        on_outcome: OnOutcome,
        number: int = 0,
    ) -> RunningCoroutine:
        """Run for at most `seconds`; the scorer fills `report`. A dump of the process shows the run under `number`.

        `on_outcome` is called in time even if the scorer does not end, but not if the run is cancelled.
        """
        # An empty context: the scorer sees nothing of its caller's, and what it sets stays in it.
        context = contextvars.Context()
        context.run(current.set, report)
        task = asyncio.get_running_loop().create_task(_named(number)(target, arguments), context=context)
        return RunningCoroutine(self, ref, task, seconds, on_outcome)

    def stop(self, ref: str, task: "asyncio.Task[Outcome]") -> None:
        """Cancel a run; it is counted as abandoned if it is still alive a moment later."""
        task.cancel()
        asyncio.get_running_loop().call_later(CANCEL_GRACE, self._abandon, ref, task)

    def _abandon(self, ref: str, task: "asyncio.Task[Outcome]") -> None:
        if task.done():
            return
        self._abandoned[ref] += 1
        task.add_done_callback(lambda _: self._ended(ref))
        if ref not in self._warned:
            self._warned.add(ref)
            logger.warning("%s ignored its cancellation and is still running; its late result will be dropped.", ref)
        if self._abandoned[ref] == MAX_ABANDONED:
            self._on_limit(ref)

    def _ended(self, ref: str) -> None:
        self._abandoned[ref] -= 1
        if not self._abandoned[ref]:
            del self._abandoned[ref]


def _named(number: int) -> FunctionType:
    """`_score` under a name that identifies the run in a dump."""
    return FunctionType(_score.__code__.replace(co_name=dump.name_of(number)), globals())


async def _score(target: ScorerFunction, arguments: dict[str, Any]) -> Outcome:
    """Returns errors, since a SystemExit raised by a task would end the event loop."""
    try:
        output = await target(**arguments)
    except RAISED_BY_SCORERS as error:
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
    except BaseException as error:  # else `on_outcome` would never be called
        return ScorerRaised.of(error)
