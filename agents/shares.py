"""This worker's share of the limits that all workers have together: one over their number.

A share is given up at once and taken only when every other worker has said that it divides between the same workers,
so that all shares together never exceed the whole: not while a worker joins, nor while one has not heard of it yet.
"""

import asyncio
import logging
from collections.abc import Callable

from app import cluster
from tables import shares

log = logging.getLogger(__name__)

_ASK_AGAIN = 0.2  # seconds


class Shares:
    """Follows the workers of the assignment. `take` is told each new share."""

    def __init__(self, take: Callable[[float], None]) -> None:
        self._take = take
        self._share = 0.0
        self._assigned = asyncio.Event()

    def reassigned(self) -> None:
        """Partitions were assigned anew: what is too much by now is given up before anything else happens."""
        workers = frozenset(cluster.owners().values())
        if workers:
            self._set(min(self._share, 1 / len(workers)))
        shares.divide_between(workers)
        self._assigned.set()

    async def run(self) -> None:
        """Take what others have given up, for ever."""
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
