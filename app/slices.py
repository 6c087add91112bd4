"""Splits long work into short turns, so that the event loop stays responsive: shorter while HTTP requests come in.

Each turn, and each record of the log, has a fixed cost. So turns are long while nobody waits for an answer.
"""

import asyncio
import sys
from dataclasses import dataclass
from time import perf_counter

TURN_SECONDS = 0.002  # of long work that has no pace, see `Turns`
HURRY_SECONDS = 0.02  # after each HTTP request; ten requests a second keep turns long in between


@dataclass(frozen=True, slots=True)
class Pace:
    """How much is done at once of work that no HTTP request waits for."""

    turn: float  # seconds of work in one turn of the event loop
    start: float  # the same for starting tasks; longer, since started tasks may wait for others
    events: int  # that share a record, at most
    switch: float  # seconds until another thread may run, such as the log's, which reports what is durable


PATIENT = Pace(turn=0.003, start=0.012, events=256, switch=0.002)
HURRIED = Pace(turn=0.0005, start=0.0005, events=32, switch=0.0005)

_pace = PATIENT
_hurry_until = 0.0


def hurry() -> None:
    """An HTTP request came in, and more may follow."""
    global _hurry_until
    _hurry_until = perf_counter() + HURRY_SECONDS
    _go_at(HURRIED)


def pace() -> Pace:
    """How much to do at once now."""
    if _pace is HURRIED and perf_counter() >= _hurry_until:
        _go_at(PATIENT)
    return _pace


def _go_at(wanted: Pace) -> None:
    global _pace
    if _pace is not wanted:
        _pace = wanted
        sys.setswitchinterval(wanted.switch)


class Turns:
    """Lets others run once a turn has lasted long enough: `await turns.breathe()` between pieces of work."""

    def __init__(self) -> None:
        self._began = perf_counter()

    async def breathe(self) -> None:
        if perf_counter() - self._began >= TURN_SECONDS:
            await asyncio.sleep(0)
            self._began = perf_counter()
