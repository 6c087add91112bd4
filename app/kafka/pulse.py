"""Notices that this process was stopped for so long that Kafka may have given its partitions to others."""

import time
from collections.abc import Callable
from threading import Event, Thread

BEAT = 0.25  # seconds


class Pulse:
    """Beats in a thread of its own; if a beat is more than `limit` seconds late, `missed` is called with the seconds.

    A process that was stopped (by a signal, a suspended machine, a frozen container) continues as if nothing had
    happened. It would apply what it had read before, and its outdated changelog records would overwrite those of the
    partition's new owner.
    """

    def __init__(self, limit: float, missed: Callable[[float], None]) -> None:
        self._limit = limit
        self._missed = missed
        self._last = _now()
        self._end = Event()
        self._thread = Thread(target=self._beat, name="pulse", daemon=True)

    def start(self) -> None:
        self._last = _now()
        self._thread.start()

    def stop(self) -> None:
        self._end.set()
        if self._thread.is_alive():  # a worker that never reached Kafka has not started it
            self._thread.join()

    def check(self) -> None:
        """Call `missed` if the process has just been stopped for too long. To be called before anything is sent."""
        if not self._end.is_set() and (pause := _now() - self._last) > self._limit:
            self._missed(pause)

    def _beat(self) -> None:
        while not self._end.wait(BEAT):
            self.check()
            self._last = _now()


def _now() -> float:
    # Unlike Linux's monotonic clock, this one also runs while the machine is suspended.
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()
