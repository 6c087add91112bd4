"""Work of an agent that goes on beside its stream, until partitions are assigned anew."""

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import Any

from app.faust_app import app


class Background:
    """Tasks that end the process if one fails, unless nothing can be written: then the log delivers again later."""

    def __init__(self, what: str) -> None:
        """`what` a failed task could not do, for the log."""
        self._what = what
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        # An empty context: the work must neither see nor change the stream event that happens to be current.
        task = asyncio.get_running_loop().create_task(self._guard(work), context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def cancel(self) -> None:
        """Cancel all that goes on."""
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()

    async def _guard(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception:
            app.on_failed_work(self._what)


class Owed:
    """Calls back when each of its parts has ended."""

    def __init__(self, done: Callable[[], None]) -> None:
        self._done = done
        self._open = 0

    def one(self) -> Callable[[], None]:
        """One more part; to be called when that has ended."""
        self._open += 1
        return self._end_one

    def _end_one(self) -> None:
        self._open -= 1
        if self._open == 0:
            self._done()
