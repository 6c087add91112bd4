"""Running async scorers on the event loop."""

import asyncio
import contextvars
import logging
from collections import Counter
from typing import Any

from app.scorers.bound import BoundScorer
from app.scorers.errors import SAID_BY_SCORERS, ScorerError, ScorerRaised, ScorerTimeout
from app.scorers.report import Report, current
from app.scorers.worker import encode_checked

logger = logging.getLogger(__name__)

CANCEL_GRACE = 0.1
"""Seconds that a coroutine has to end after it was cancelled, before it counts as abandoned."""

MAX_ABANDONED = 16
"""Runs of one scorer that may still be alive after they ignored their cancellation."""


class Coroutines:
    """Runs async scorers, and keeps track of those that ignore their cancellation."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[bytes | ScorerError]] = set()
        self._abandoned: Counter[str] = Counter()
        self._complained: set[str] = set()

    def cancel_all(self) -> None:
        """Cancel everything that is still running."""
        for task in self._running:
            task.cancel()

    def abandoned(self, ref: str) -> int:
        """How many runs of a scorer ignored their cancellation and are alive."""
        return self._abandoned[ref]

    async def run(self, bound: BoundScorer, arguments: dict[str, Any], seconds: float, report: Report) -> bytes:
        """Run for at most `seconds`; the scorer fills `report`. Raises ScorerError.

        Returns in time even if the scorer does not.
        """
        if self._abandoned[bound.ref] >= MAX_ABANDONED:
            raise ScorerTimeout(
                f"It was not started: {MAX_ABANDONED} earlier runs ignored their cancellation and are still running."
            )
        # A context of its own: what the scorer sets stays with it, and it sees nothing of its caller's.
        context = contextvars.Context()
        context.run(current.set, report)
        task = asyncio.create_task(_score(bound, arguments), context=context)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            done, _ = await asyncio.wait({task}, timeout=seconds)
        except asyncio.CancelledError:
            self._stop(bound.ref, task)
            raise
        if not done:
            self._stop(bound.ref, task)
            raise ScorerTimeout(f"It ran longer than its time-out of {seconds:g} s.")
        return _result(task)

    def _stop(self, ref: str, task: asyncio.Task[bytes | ScorerError]) -> None:
        task.cancel()
        asyncio.get_running_loop().call_later(CANCEL_GRACE, self._abandon, ref, task)

    def _abandon(self, ref: str, task: asyncio.Task[bytes | ScorerError]) -> None:
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


async def _score(bound: BoundScorer, arguments: dict[str, Any]) -> bytes | ScorerError:
    """Returns errors: asyncio lets a SystemExit that leaves a task end the event loop."""
    try:
        output = await bound.target(**arguments)
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


def _result(task: asyncio.Task[bytes | ScorerError]) -> bytes:
    if task.cancelled():
        raise ScorerRaised("CancelledError", "The scorer cancelled itself.", "")
    reply = task.result()
    if isinstance(reply, ScorerError):
        raise reply
    return reply
