"""Ends a worker that looks healthy but does nothing, and logs why, so that it is started again."""

import logging
import math
import time
from collections.abc import Hashable, Mapping

from aiokafka.errors import KafkaError
from faust.types import TP
from mode import Service
from prometheus_client import Gauge

from agents.scoring import scoring
from app import cluster, topics
from app.exits import EXIT_STUCK, die
from app.faust_app import app
from app.positions import positions

log = logging.getLogger(__name__)

INTERVAL = 5.0  # seconds between checks

lag = Gauge("callscore_lag_records", "Records that this worker has not applied yet; NaN if that is unknown.", ["topic"])

_MINE = {topic.name for topic in topics.ALL}


def _set_lag(behind: Mapping[str, float]) -> None:
    for topic, records in behind.items():
        lag.labels(topic).set(records)


class Watch:
    """How long things that should change have stood still."""

    def __init__(self) -> None:
        self._seen: dict[Hashable, tuple[Hashable, float]] = {}

    def still_for(self, name: Hashable, value: Hashable, should_move: bool, now: float) -> float:
        """Seconds since `value` last changed, or since it last did not have to."""
        known = self._seen.get(name)
        if not should_move or known is None or known[0] != value:
            self._seen[name] = (value, now)
            return 0.0
        return now - known[1]

    def forget(self, but: Hashable = None) -> None:
        self._seen = {name: seen for name, seen in self._seen.items() if name == but}


class Watchdog(Service):
    """Checks every few seconds that work goes on: records applied, offsets committed, tasks started."""

    def __init__(self, stuck_after: float) -> None:
        super().__init__()
        self._stuck_after = stuck_after
        self._watch = Watch()

    @Service.task
    async def _look_for_ever(self) -> None:
        async for _ in self.itertimer(INTERVAL, name="watchdog"):
            try:
                cluster.check_ready()
            except cluster.Unavailable as reason:
                log.warning("not ready: %s", reason)
                _set_lag(dict.fromkeys(_MINE, math.nan))
                stuck = self._look_at_start(time.monotonic())
            else:
                stuck = await self._look(time.monotonic())
            if stuck is not None:
                log.critical("stuck for %g s, so this worker ends itself: %s", self._stuck_after, stuck)
                die(EXIT_STUCK)

    def _look_at_start(self, now: float) -> str | None:
        """What is stuck while the tables cannot answer, or None. A broker that is away is waited for."""
        self._watch.forget(but="recovery")
        left = app.tables.recovery.active_remaining_total() if app.tables.recovery.started else 0
        moving = (app.rebalancing_count, left, positions.total())
        waits = app.waiting_for is not None or app.producer.failed is not None or app.consumer.in_doubt
        if self._watch.still_for("recovery", moving, not waits, now) > self._stuck_after:
            return f"the tables are not ready, {left} changelog records are not read, and no record is applied"
        return None

    async def _look(self, now: float) -> str | None:
        """What is stuck, or None."""
        self._watch.still_for("recovery", None, False, now)
        owned = [tp for tp in app.consumer.assignment() if tp.topic in _MINE]
        try:
            ends = await app.consumer.highwaters(*owned)
        except KafkaError as error:  # a broker that is away is waited for
            log.warning("cannot tell whether anything is stuck: %s", error)
            self._watch.forget()
            _set_lag(dict.fromkeys(_MINE, math.nan))
            return None
        behind = dict.fromkeys(_MINE, 0)
        for tp in owned:
            where = TP(tp.topic, tp.partition)
            applied = positions.get(tp.topic, tp.partition)
            behind[tp.topic] += max(0, ends[tp] - 1 - applied)
            if self._watch.still_for(("applied", where), applied, ends[tp] - 1 > applied, now) > self._stuck_after:
                return f"{tp.topic}/{tp.partition} has records after offset {applied}, and none is applied"
            if tp.topic in (topics.score_requests.name, topics.controls.name):
                continue  # committed only when the tasks are settled, which may take as long as they wait
            committed = app.consumer.last_committed(where)
            if self._watch.still_for(("commit", where), committed, applied >= committed, now) > self._stuck_after:
                return (
                    f"{tp.topic}/{tp.partition} is applied up to offset {applied} and committed only up to {committed}"
                )
        _set_lag(behind)
        scheduler = scoring.scheduler
        if self._watch.still_for("tasks", scheduler.started, scheduler.could_start(), now) > self._stuck_after:
            return "tasks are waiting and there is room for them, but none is started"
        return None
