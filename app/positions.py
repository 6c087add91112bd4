"""How far this worker has applied the log, so that others can wait for it."""

import asyncio
from collections import defaultdict
from collections.abc import Collection


class Positions:
    """The offsets that the agents on this worker have applied, by topic partition, and who waits for more."""

    def __init__(self) -> None:
        self._applied: dict[tuple[str, int], int] = {}
        self._waiting: defaultdict[tuple[str, int], list[tuple[int, asyncio.Future[None]]]] = defaultdict(list)

    def applied(self, topic: str, partition: int, offset: int) -> None:
        """All records of the partition up to `offset` are in the tables."""
        where = (topic, partition)
        self._applied[where] = offset
        if where in self._waiting:
            left = []
            for wanted, future in self._waiting.pop(where):
                if wanted > offset:
                    left.append((wanted, future))
                elif not future.done():
                    future.set_result(None)
            if left:
                self._waiting[where] = left

    def get(self, topic: str, partition: int) -> int:
        """The last applied offset, -1 if none is known."""
        return self._applied.get((topic, partition), -1)

    def total(self) -> int:
        """The sum of all applied offsets, which does not change while nothing is applied."""
        return sum(self._applied.values())

    async def reached(self, topic: str, partition: int, offset: int) -> None:
        """Wait until the record at `offset` is applied, or its partition has moved to another worker."""
        if self.get(topic, partition) >= offset:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[topic, partition].append((offset, future))
        await future

    def recovered(self, owned: Collection[tuple[str, int]]) -> None:
        """Tables were recovered, and the records of partitions that are `owned` come again, from some offset on.

        Who waits for another partition goes on, and must check if it is still here.
        """
        self._applied.clear()
        for where in self._waiting.keys() - owned:
            for _, future in self._waiting.pop(where):
                if not future.done():
                    future.set_result(None)


positions = Positions()
