"""Long work in short turns, so that the event loop stays free for others: the shorter if somebody waits for an answer.

A turn, and a record of the log, cost something however much is done in it. So as long as nobody asks, much is.
"""

import asyncio
from dataclasses import dataclass
from time import perf_counter

HURRY_SECONDS = 0.02  # after each request to the views: who asks ten times a second is not in a hurry


@dataclass(frozen=True, slots=True)
class Pace:
    """How much is done at once."""

    turn: float  # seconds of work in one turn of the event loop
    held: float  # seconds that an event may wait for others to share a record with
    events: int  # that share a record, at most


PATIENT = Pace(turn=0.003, held=0.01, events=256)
HURRIED = Pace(turn=0.0005, held=0.004, events=32)

_hurry_until = 0.0


def hurry() -> None:
    """Somebody asks, and probably will again."""
    global _hurry_until
    _hurry_until = perf_counter() + HURRY_SECONDS


def pace() -> Pace:
    """How much is to be done at once now."""
    return HURRIED if perf_counter() < _hurry_until else PATIENT


class Turns:
    """Lets others run whenever a turn has lasted long enough: `await turns.breathe()` between pieces of work."""

    def __init__(self) -> None:
        self._began = perf_counter()

    async def breathe(self) -> None:
        if perf_counter() - self._began >= pace().turn:
            await asyncio.sleep(0)
            self._began = perf_counter()
