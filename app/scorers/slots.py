"""Which scorers may use a worker process now."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class ProcessSlots:
    """`total` slots shared by all scorers.

    A scorer may take another slot only while it holds fewer than `per_scorer`, and fewer than are free. So one that
    hangs in all of its slots leaves some for the others, and none has to be reserved for idle scorers.
    """

    def __init__(self, total: int, per_scorer: int) -> None:
        if total < 1 or per_scorer < 1:
            raise ValueError("There must be at least one process, and one for each scorer.")
        self.total = total
        self.per_scorer = per_scorer
        self._held: Counter[str] = Counter()
        self._used = 0
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    @property
    def free(self) -> int:
        """Slots that are not held."""
        return self.total - self._used

    @asynccontextmanager
    async def hold(self, ref: str) -> AsyncIterator[None]:
        """Wait for a slot for the scorer `ref`, first come first served, and hold it."""
        await self._acquire(ref)
        try:
            yield
        finally:
            self._release(ref)

    async def _acquire(self, ref: str) -> None:
        if ref not in self._waiting and self._may_take(ref):
            self._take(ref)
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(ref, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._release(ref)
            else:
                self._forget(ref, turn)
            raise

    def _may_take(self, ref: str) -> bool:
        return self._held[ref] < min(self.per_scorer, self.free)

    def _take(self, ref: str) -> None:
        self._held[ref] += 1
        self._used += 1

    def _release(self, ref: str) -> None:
        self._held[ref] -= 1
        if not self._held[ref]:
            del self._held[ref]
        self._used -= 1
        self._hand_out()

    def _hand_out(self) -> None:
        """Give one slot to each waiting scorer in turn, until none may take another."""
        progress = True
        while progress and self.free:
            progress = False
            for ref in list(self._waiting):
                if self._may_take(ref):
                    turns = self._waiting.pop(ref)
                    turn = turns.popleft()
                    if not turn.done():  # else it was cancelled in this turn of the event loop
                        self._take(ref)
                        turn.set_result(None)
                    if turns:
                        self._waiting[ref] = turns  # behind the others
                    progress = True

    def _forget(self, ref: str, turn: asyncio.Future[None]) -> None:
        turns = self._waiting.get(ref)
        if turns is not None and turn in turns:
            turns.remove(turn)
            if not turns:
                del self._waiting[ref]
