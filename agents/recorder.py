"""Applies what became of tasks to the tables (see tables/changes), which no one else writes, and tells scoring."""

from typing import Any

from agents.scoring import scoring
from agents.stream import Record, consume
from app import topics
from app.events import ScoreEvents
from app.faust_app import app
from tables import folds
from tables.changes import Changes


@app.agent(topics.score_events.channel(), name="recorder")
async def recorder(stream: Any) -> None:
    await consume(stream, folds.SCORE_EVENTS.decode, handle)


def handle(record: Record, batch: ScoreEvents) -> None:
    tell(record.at.partition, folds.SCORE_EVENTS.apply(record.at, batch))


def tell(partition: int, changes: Changes) -> None:
    """Let scoring know: what is no longer in flight, what is parked, what is settled, what was spent."""
    for where, number in changes.settled.items():
        scoring.scheduler.settled(*where, number)
    for key, task in changes.tasks.items():
        if task is None:
            scoring.parking.removed(partition, key, changes.was_parked[key])
            scoring.unparked(key)
        else:
            scoring.parking.parked(partition, key, task, not changes.was_parked[key])
    for spent in changes.spent:
        scoring.room.budgets.spent(*spent)
    for key, at in changes.happened:
        scoring.applied(key, at)
