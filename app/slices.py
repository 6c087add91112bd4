"""Long work in short turns, so that the event loop stays free for others: the shorter if somebody waits for an answer.

A turn, and a record of the log, cost something however much is done in it. So as long as nobody asks, much is.
"""

import asyncio
import sys
from dataclasses import dataclass
from time import perf_counter

TURN_SECONDS = 0.002  # of who answers a request
HURRY_SECONDS = 0.02  # after each HTTP request: who asks ten times a second is not in a hurry


@dataclass(frozen=True, slots=True)
class Pace:
    """How much is done at once of what nobody waits for."""

    turn: float  # seconds of work in one turn of the event loop
    start: float  # the same, of starting tasks: more, since what is started may wait for others meanwhile
    events: int  # that share a record, at most
    switch: float  # seconds until another thread may run: the log's, which says what is durable


PATIENT = Pace(turn=0.003, start=0.012, events=256, switch=0.002)
HURRIED = Pace(turn=0.0005, start=0.0005, events=32, switch=0.0005)

_pace = PATIENT
_hurry_until = 0.0


def hurry() -> None:
    """Somebody asks, and probably will again."""
    global _hurry_until
    _hurry_until = perf_counter() + HURRY_SECONDS
    _go_at(HURRIED)


def pace() -> Pace:
    """How much is to be done at once now."""
    if _pace is HURRIED and perf_counter() >= _hurry_until:
        _go_at(PATIENT)
    return _pace


def _go_at(wanted: Pace) -> None:
    global _pace
    if _pace is not wanted:
        _pace = wanted
        sys.setswitchinterval(wanted.switch)


class Turns:
    """Lets others run whenever a turn has lasted long enough: `await turns.breathe()` between pieces of work."""

    def __init__(self) -> None:
        self._began = perf_counter()

    async def breathe(self) -> None:
        if perf_counter() - self._began >= TURN_SECONDS:
            await asyncio.sleep(0)
            self._began = perf_counter()
