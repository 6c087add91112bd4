"""How much a scorer may still cost today in a project, on this worker.

Each worker holds a share of what is neither spent nor held by others: what is under way, each taken to cost what the
dearest of the last attempts did, and what may begin until it asks again. While it asks, it says that it holds the most
that it may take, so that of two that ask at the same time one sees what the other takes. A few attempts tell little of
what others will cost, so at most one more is under way than have ended here. So a day costs its cap, and at most the
last attempt of each worker more, unless attempts get dearer than any of the last ones.

A request that got no answer, or one that does not say what it cost, may have cost as much as any. So each of today
takes of the cap what is held for an attempt under way; while none has ended here, that is what a request cost on
average today. Where answers came and none of them ever said it, nothing begins any more.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import time as clock

from agents.limits import PLENTY
from app import cluster, topics
from app.days import DAY, day_of
from app.judges.prices import lacks_price
from app.scorers import BoundScorer
from app.scorers.report import picodollars
from app.spent import Spent
from tables import in_flight, pauses, spending

_ASK_AGAIN = 0.5  # seconds
_FORGET = 60.0  # seconds after which nobody asks any more what is left
_LAST = 64  # attempts, of which the dearest counts
_UNTOLD = "nobody tells what it cost today"

Where = tuple[str, str]  # project id, scorer ref


@dataclass(slots=True)
class _Known:
    """What is known of today's spending, in picodollars; `cost` is None until all workers have been asked."""

    day: int
    cap: int = 0
    cost: int | None = None
    taken: Spent = field(default_factory=Spent)  # its cost may be less, if a worker of before wrote down a part
    cost_since: int = 0  # here, since they were asked
    untold_since: int = 0  # requests whose cost nobody tells
    unpriced: bool = False  # whether one was answered here
    held: int = 0  # of what is left, by this worker
    wanted_at: float = 0.0


@dataclass(slots=True)
class _Costs:
    """What the attempts cost that have ended here, and of which that is known, in picodollars."""

    attempts: int = 0
    last: deque[int] = field(default_factory=lambda: deque(maxlen=_LAST))
    dearest: int = 0  # of the last ones

    def add(self, cost: int) -> None:
        self.attempts += 1
        self.last.append(cost)
        self.dearest = max(self.last)


class Budgets:
    """Follows the spending of scorers that have a cap. `wake` is called when there may be room again."""

    def __init__(self, day_start: clock, wake: Callable[[], None]) -> None:
        self._day_start = day_start
        self._wake = wake
        self._known: dict[Where, _Known] = {}
        self._costs: dict[Where, _Costs] = {}
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
        if (lacks := lacks_price(bound.scorer)) is not None:
            pauses.cap_cannot_hold(project_id, bound.ref, cap, lacks)
            self._wanted.set()  # so that it is said again
            return 0
        where, day = (project_id, bound.ref), self.day()
        known = self._known.get(where)
        if known is None or known.day != day:
            known = self._known[where] = _Known(day)
        known.cap = picodollars(cap * 1_000_000)
        known.wanted_at = time.monotonic()
        self._wanted.set()
        if known.cost is None:
            return 0
        if not self._told(where, known):
            pauses.cap_cannot_hold(project_id, bound.ref, cap, _UNTOLD)
            return 0
        left = self._left(where, known)
        if left <= 0:
            pauses.cap_is_reached(project_id, bound.ref, cap, day + DAY)
            return 0
        pauses.cap_is_not_reached(project_id, bound.ref)
        return self._affordable(where, known.held) if known.held > 0 else 0

    def _affordable(self, where: Where, held: int) -> int:
        costs = self._costs.get(where, _Costs())
        affordable = max(held // costs.dearest, 1) if costs.dearest else PLENTY
        return min(affordable, costs.attempts + 1) - in_flight.of_lane(*where)

    def spent(self, project_id: str, scorer_ref: str, spent: Spent) -> None:
        """An attempt was recorded here that took so much."""
        where = (project_id, scorer_ref)
        known = self._known.get(where)
        if known is None:
            return
        known.cost_since += spent.cost
        known.untold_since += spent.untold
        known.unpriced |= spent.unpriced > 0
        if spent.requests and not spent.unpriced:  # else it says nothing of what an attempt costs
            self._costs.setdefault(where, _Costs()).add(spent.cost)
        known.held -= spent.cost + spent.untold * self._dearest(where)

    async def run(self) -> None:
        """Ask all workers again and again what was spent, for ever, as long as somebody wants to know."""
        while True:
            await self._wanted.wait()
            with suppress(cluster.Unavailable):
                await self.ask()
            self._wake()
            await asyncio.sleep(_ASK_AGAIN)

    async def ask(self) -> None:
        """Hold this worker's share of what is left. Raises Unavailable, and then it holds what it held."""
        self._forget()
        most = {where: self._part(self._left(where, known)) for where, known in self._known.items()}
        spending.hold({where: max(known.held, most[where]) for where, known in self._known.items()})
        try:
            if most:
                await self._take(most)
        finally:
            spending.hold({where: known.held for where, known in self._known.items()})

    def _forget(self) -> None:
        now = time.monotonic()
        self._known = {where: known for where, known in self._known.items() if known.wanted_at + _FORGET > now}
        if not self._known:
            self._wanted.clear()

    async def _take(self, most: dict[Where, int]) -> None:
        day, asked = self.day(), dict(self._known)
        # What is held before what is spent: what ends in between counts twice, and not as neither.
        held = await cluster.every_worker(spending.held, list(asked))
        before = {where: (known.cost_since, known.untold_since) for where, known in asked.items()}
        costs = await cluster.everywhere(spending.spent, list(asked), day)
        taken = await cluster.everywhere(spending.taken, list(asked), day)
        if held.keys() != set(cluster.owners().values()) or min(len(costs), len(taken)) < topics.partitions():
            return  # a worker does not answer: what it holds, or what was spent there, is not known
        for number, (where, known) in enumerate(asked.items()):
            if known.day == day:
                known.cost = sum(cost[number] for cost in costs.values())
                known.taken = sum((Spent(**took[number]) for took in taken.values()), Spent())
                known.cost_since -= before[where][0]
                known.untold_since -= before[where][1]
                elsewhere = sum(amounts[number] for url, amounts in held.items() if url != cluster.here())
                part = self._part(self._left(where, known) - elsewhere)
                known.held = max(min(most[where], part), self._under_way(where))

    def _told(self, where: Where, known: _Known) -> bool:
        """Whether any answer has said what it cost, or none has come yet today."""
        return where in self._costs or known.taken.priced > 0 or not (known.unpriced or known.taken.unpriced)

    def _left(self, where: Where, known: _Known) -> int:
        """Of the cap, as far as this worker knows, by what it has spent itself and what all have recorded."""
        untold = known.taken.untold + known.untold_since
        return known.cap - (known.cost or 0) - known.cost_since - untold * self._dearest(where)

    def _part(self, left: int) -> int:
        """This worker's share of what is left."""
        return max(0, math.ceil(left * self.share))

    def _under_way(self, where: Where) -> int:
        """What all that is under way here is taken to cost."""
        return in_flight.of_lane(*where) * self._dearest(where)

    def _dearest(self, where: Where) -> int:
        """Of the last attempts that ended here; until one has, what a request cost on average today."""
        if (costs := self._costs.get(where)) is not None:
            return costs.dearest
        taken = self._known[where].taken if where in self._known else Spent()
        return -(-taken.cost // taken.priced) if taken.priced > 0 else 0
