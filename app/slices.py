"""Long work in short turns, so that the event loop stays free for others."""

import asyncio
from time import perf_counter

TURN_SECONDS = 0.003


class Turns:
    """Lets others run whenever a turn has lasted long enough: `await turns.breathe()` between pieces of work."""

    def __init__(self, seconds: float = TURN_SECONDS) -> None:
        self._seconds = seconds
        self._began = perf_counter()

    async def breathe(self) -> None:
        if perf_counter() - self._began >= self._seconds:
            await asyncio.sleep(0)
            self._began = perf_counter()
