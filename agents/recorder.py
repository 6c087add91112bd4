"""Applies the events of tasks to their tables, which nothing else writes (see tables/changes), and notifies scoring."""

from typing import Any

from agents.scoring import scoring
from agents.stream import consume
from app import topics
from app.faust_app import app
from tables import folds
from tables.changes import Changes


@app.agent(topics.score_events.channel(), name="recorder")
async def recorder(stream: Any) -> None:
    await consume(stream, folds.SCORE_EVENTS, lambda record, _, changes: notify(record.at.partition, changes))


def notify(partition: int, changes: Changes) -> None:
    """Notify scoring of tasks that were settled, parked or unparked, of spending, and of applied events."""
    for where, number in changes.settled.items():
        scoring.scheduler.settled(*where, number)
    for key, row in changes.tasks.items():
        if row is None:
            scoring.parking.removed(partition, key, changes.was_parked[key])
            scoring.unparked(key)
        else:
            scoring.parking.parked(partition, key, row, not changes.was_parked[key])
    for usage in changes.spent:
        scoring.room.budgets.charge(*usage)
    for key, at in changes.happened:
        scoring.applied(key, at)
