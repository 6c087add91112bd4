"""This worker's share of the limits that hold for all workers together: one over their number.

A smaller share is taken at once, a larger one only when every other worker says that it divides between the same
workers. So all shares together never exceed the whole, not even while some workers do not know of a new one yet.
"""

import asyncio
import logging
from collections.abc import Callable

from app import cluster
from tables import shares

log = logging.getLogger(__name__)

_ASK_AGAIN = 0.2  # seconds


class Shares:
    """Follows the workers of the assignment. `take` is called with each new share."""

    def __init__(self, take: Callable[[float], None]) -> None:
        self._take = take
        self._share = 0.0
        self._assigned = asyncio.Event()

    def recovered(self) -> None:
        """The tables of an assignment are recovered: give up what is too much by now before anything else happens."""
        workers = frozenset(cluster.owners().values())
        if workers:
            self._set(min(self._share, 1 / len(workers)))
        shares.divide_between(workers)
        self._assigned.set()

    async def run(self) -> None:
        """Take what other workers have given up, for ever."""
        while True:
            await self._assigned.wait()
            self._assigned.clear()
            while not self._assigned.is_set():
                workers = frozenset(cluster.owners().values())
                if cluster.here() in workers and await self._agreed(workers) and not self._assigned.is_set():
                    self._set(1 / len(workers))
                    break
                await asyncio.sleep(_ASK_AGAIN)

    async def _agreed(self, workers: frozenset[str]) -> bool:
        if workers == {cluster.here()}:
            return True
        try:
            answers = await cluster.every_worker(shares.workers)
        except cluster.Unavailable:
            return False
        return answers.keys() == workers and all(frozenset(answer) == workers for answer in answers.values())

    def _set(self, share: float) -> None:
        if share != self._share:
            log.info("this worker has %.3g of the limits of providers", share)
            self._share = share
            self._take(share)
