"""How much a scorer may still cost today in a project, on this worker.

Each worker reserves part of the remaining budget: the estimated cost of running attempts (each taken as the dearest
recent one) plus what may start before it next asks. While it asks, it claims to have reserved the most that it may
take, so that of two workers that ask at the same time one sees the other's part. A few attempts say little about the
cost of others, so at most one more runs than have ended here. So a day costs its cap, and at most one attempt of each
worker more, unless attempts get dearer than all recent ones.

A request without an answer, or whose answer does not say what it cost, is charged like a running attempt; until one has
ended here, at today's average cost of a request. If answers have come and none ever said what it cost, no more start.
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
from app.scorers import BoundScorer, ScorerKey
from app.scorers.report import picodollars
from app.usage import Usage
from tables import in_flight, pauses, spending

_ASK_AGAIN = 0.5  # seconds
_FORGET = 60.0  # seconds after which the budget of a scorer is no longer followed, if no task of it waits or runs
_LAST = 64  # recent attempts, of which the dearest counts
_COST_UNKNOWN = "nobody tells what it cost today"


@dataclass(slots=True)
class _Known:
    """What is known of today's spending, in picodollars; `cost` is None until all workers have been asked."""

    day: int
    cap: int = 0
    cost: int | None = None
    taken: Usage = field(default_factory=Usage)  # its cost may be too low, if an earlier version wrote part of it
    cost_since: int = 0  # here, since they were asked
    unknown_cost_since: int = 0  # requests of unknown cost here, since then
    unpriced: bool = False  # whether one of them was answered
    held: int = 0  # of what is left, reserved by this worker
    wanted_at: float = 0.0


@dataclass(slots=True)
class _Costs:
    """What attempts that ended here cost, as far as that is known, in picodollars."""

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
        self._known: dict[ScorerKey, _Known] = {}
        self._costs: dict[ScorerKey, _Costs] = {}
        self._wanted = asyncio.Event()
        self.share = 0.0

    def day(self) -> int:
        """When today began, Unix seconds."""
        return day_of(time.time(), self._day_start)

    def room(self, project_id: str, bound: BoundScorer) -> int:
        """How many attempts of a scorer may start now."""
        cap = bound.policy.usd_per_day
        if cap is None:
            return PLENTY
        if (lacks := lacks_price(bound.scorer)) is not None:
            pauses.cap_cannot_hold(project_id, bound.ref, cap, lacks)
            self._wanted.set()  # so that `wake` is called, and it is said again
            return 0
        scorer, day = (project_id, bound.ref), self.day()
        known = self._known.get(scorer)
        if known is None or known.day != day:
            known = self._known[scorer] = _Known(day)
        known.cap = picodollars(cap * 1_000_000)
        known.wanted_at = time.monotonic()
        self._wanted.set()
        if known.cost is None:
            return 0
        if not self._cost_is_known(scorer, known):
            pauses.cap_cannot_hold(project_id, bound.ref, cap, _COST_UNKNOWN)
            return 0
        left = self._left(scorer, known)
        if left <= 0:
            pauses.cap_is_reached(project_id, bound.ref, cap, day + DAY)
            return 0
        pauses.cap_is_not_reached(project_id, bound.ref)
        return self._affordable(scorer, known.held) if known.held > 0 else 0

    def _affordable(self, scorer: ScorerKey, held: int) -> int:
        costs = self._costs.get(scorer, _Costs())
        affordable = max(held // costs.dearest, 1) if costs.dearest else PLENTY
        return min(affordable, costs.attempts + 1) - in_flight.of_scorer(*scorer)

    def charge(self, project_id: str, scorer_ref: str, usage: Usage) -> None:
        """The usage of an attempt was recorded on this worker."""
        scorer = (project_id, scorer_ref)
        known = self._known.get(scorer)
        if known is None:
            return
        known.cost_since += usage.cost
        known.unknown_cost_since += usage.unknown_cost
        known.unpriced |= usage.unpriced > 0
        if usage.requests and not usage.unpriced:  # else it does not show what an attempt costs
            self._costs.setdefault(scorer, _Costs()).add(usage.cost)
        # Not below zero: other workers would take a negative amount for more that is left.
        known.held = max(0, known.held - usage.cost - usage.unknown_cost * self._dearest(scorer))

    async def run(self) -> None:
        """Ask all workers again and again what was spent, for ever, as long as tasks of a capped scorer wait or run."""
        while True:
            await self._wanted.wait()
            with suppress(cluster.Unavailable):
                await self.ask()
            self._wake()
            await asyncio.sleep(_ASK_AGAIN)

    async def ask(self) -> None:
        """Reserve this worker's share of what is left. Raises Unavailable, and then nothing changes."""
        self._forget()
        most = {scorer: self._part(self._left(scorer, known)) for scorer, known in self._known.items()}
        spending.hold({scorer: max(known.held, most[scorer]) for scorer, known in self._known.items()})
        try:
            if most:
                await self._take(most)
        finally:
            spending.hold({scorer: known.held for scorer, known in self._known.items()})

    def _forget(self) -> None:
        now = time.monotonic()
        self._known = {
            scorer: known
            for scorer, known in self._known.items()
            if known.wanted_at + _FORGET > now or in_flight.of_scorer(*scorer)
        }
        if not self._known:
            self._wanted.clear()

    async def _take(self, most: dict[ScorerKey, int]) -> None:
        day, asked = self.day(), dict(self._known)
        # Reservations first, then spending: an attempt that ends in between counts twice rather than not at all.
        held = await cluster.every_worker(spending.held, list(asked))
        before = {scorer: (known.cost_since, known.unknown_cost_since) for scorer, known in asked.items()}
        costs = await cluster.everywhere(spending.spent, list(asked), day)
        taken = await cluster.everywhere(spending.taken, list(asked), day)
        if held.keys() != set(cluster.owners().values()) or min(len(costs), len(taken)) < topics.partitions():
            return  # a worker did not answer: what it has reserved, or what was spent there, is unknown
        for number, (scorer, known) in enumerate(asked.items()):
            if known.day == day:
                known.cost = sum(cost[number] for cost in costs.values())
                known.taken = sum((Usage(**took[number]) for took in taken.values()), Usage())
                known.cost_since -= before[scorer][0]
                known.unknown_cost_since -= before[scorer][1]
                elsewhere = sum(amounts[number] for url, amounts in held.items() if url != cluster.here())
                part = self._part(self._left(scorer, known) - elsewhere)
                known.held = max(min(most[scorer], part), self._under_way(scorer))

    def _cost_is_known(self, scorer: ScorerKey, known: _Known) -> bool:
        """Whether an answer has said what it cost, or none has come yet today."""
        return scorer in self._costs or known.taken.priced > 0 or not (known.unpriced or known.taken.unpriced)

    def _left(self, scorer: ScorerKey, known: _Known) -> int:
        """What is left of the cap, by what this worker has spent and what all have recorded."""
        unknown_cost = known.taken.unknown_cost + known.unknown_cost_since
        return known.cap - (known.cost or 0) - known.cost_since - unknown_cost * self._dearest(scorer)

    def _part(self, left: int) -> int:
        """This worker's share of what is left."""
        return math.ceil(left * self.share)

    def _under_way(self, scorer: ScorerKey) -> int:
        """The estimated cost of the attempts that run here."""
        return in_flight.of_scorer(*scorer) * self._dearest(scorer)

    def _dearest(self, scorer: ScorerKey) -> int:
        """The cost of the dearest recent attempt here; until one has ended, of an average request of today."""
        if (costs := self._costs.get(scorer)) is not None:
            return costs.dearest
        taken = self._known[scorer].taken if scorer in self._known else Usage()
        return -(-taken.cost // taken.priced) if taken.priced > 0 else 0
