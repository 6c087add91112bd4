"""Notices that this process was stopped for so long that Kafka may have given its partitions to others."""

import time
from collections.abc import Callable
from threading import Event, Thread

BEAT = 0.25  # seconds


class Pulse:
    """Beats in a thread of its own while the process runs; a beat that is late by `limit` seconds calls `missed`.

    A process that was stopped (a signal, a suspended machine, a frozen container) goes on as if nothing had happened:
    it would apply what it had read, and its changelog records, which are older than those of the partition's new owner,
    would win.
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
        """Call `missed` if the process has just been stopped for too long: to be asked before anything is sent."""
        if not self._end.is_set() and (pause := _now() - self._last) > self._limit:
            self._missed(pause)

    def _beat(self) -> None:
        while not self._end.wait(BEAT):
            self.check()
            self._last = _now()


def _now() -> float:
    # Linux's monotonic clock stands still while the machine is suspended, and this one does not.
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()
