"""How much a scorer may still cost today in a project, on this worker.

What was spent is the sum of the rows of all partitions, asked for again and again; of what is left each worker has its
share, and what is under way is taken to cost what an attempt has cost on average. So a day costs its cap, and at most
the last attempt of each worker more.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import time as clock

from agents.limits import PLENTY
from app import cluster, topics
from app.scorers import BoundScorer
from app.scorers.report import picodollars
from tables import in_flight, spending

_ASK_AGAIN = 0.5  # seconds
_FORGET = 60.0  # seconds after which nobody asks any more what is left
_DAY = 86_400

Where = tuple[str, str]  # project id, scorer ref


@dataclass(slots=True)
class _Known:
    """What is known of today's spending; `cost` is None until all partitions have been asked."""

    day: int
    cost: int | None = None
    since: int = 0  # spent here since they were asked
    wanted_at: float = 0.0


class Budgets:
    """Follows the spending of scorers that have a cap. `wake` is called when there may be room again."""

    def __init__(self, day_start: clock, wake: Callable[[], None]) -> None:
        self._day_start = day_start.hour * 3600 + day_start.minute * 60 + day_start.second
        self._wake = wake
        self._known: dict[Where, _Known] = {}
        self._attempts: dict[Where, tuple[int, int]] = {}  # how many, and what they cost together
        self._wanted = asyncio.Event()
        self.share = 0.0

    def day(self) -> int:
        """When today began, Unix seconds."""
        return day_of(time.time(), self._day_start)

    def room(self, project_id: str, bound: BoundScorer) -> int:
        """How many attempts of a scorer may begin now."""
        cap = bound.policy.usd_per_day
        if cap is None:
            return PLENTY
        where, day = (project_id, bound.ref), self.day()
        known = self._known.get(where)
        if known is None or known.day != day:
            known = self._known[where] = _Known(day)
        known.wanted_at = time.monotonic()
        self._wanted.set()
        if known.cost is None:
            return 0
        left = picodollars(cap * 1_000_000) - known.cost - known.since
        spending.say(project_id, bound.ref, cap, day + _DAY, left <= 0)
        return 0 if left <= 0 else self._affordable(where, int(left * self.share))

    def _affordable(self, where: Where, left: int) -> int:
        under_way = in_flight.of_lane(*where)
        attempts, cost = self._attempts.get(where, (0, 0))
        if attempts and not cost:
            return PLENTY
        affordable = left * attempts // cost if attempts else 1
        return max(affordable, 1) - under_way

    def spent(self, project_id: str, scorer_ref: str, cost: int) -> None:
        """An attempt was recorded here that cost so many picodollars."""
        where = (project_id, scorer_ref)
        known = self._known.get(where)
        if known is not None:
            known.since += cost
            attempts, before = self._attempts.get(where, (0, 0))
            self._attempts[where] = (attempts + 1, before + cost)

    async def run(self) -> None:
        """Ask all partitions what was spent, for ever, as long as somebody wants to know."""
        while True:
            await self._wanted.wait()
            with suppress(cluster.Unavailable):
                await self._ask()
            self._wake()
            await asyncio.sleep(_ASK_AGAIN)

    async def _ask(self) -> None:
        now = time.monotonic()
        self._known = {where: known for where, known in self._known.items() if known.wanted_at + _FORGET > now}
        if not self._known:
            self._wanted.clear()
            return
        day, asked = self.day(), dict(self._known)
        before = {where: known.since for where, known in asked.items()}
        found = await cluster.everywhere(spending.spent, list(asked), day)
        if len(found) < topics.partitions():
            return  # a worker does not answer: what was spent there is not known
        for number, (where, known) in enumerate(asked.items()):
            if known.day == day:
                known.cost = sum(costs[number] for costs in found.values())
                known.since -= before[where]


def day_of(at: float, day_start: int) -> int:
    """When the day began that a moment is in, of days that begin so many seconds after midnight, UTC."""
    return int((at - day_start) // _DAY) * _DAY + day_start
