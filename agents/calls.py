"""Merges the parts of logged calls into tables/calls, and resumes the tasks that waited for them."""

from typing import Any

from agents.scoring import scoring
from agents.stream import Record, consume
from app import ids, topics
from app.events import CallLogged
from app.faust_app import app
from tables import calls, folds


@app.agent(topics.calls.channel(), name="calls")
async def calls_agent(stream: Any) -> None:
    await consume(stream, folds.CALLS, wake_tasks)


def wake_tasks(record: Record, event: CallLogged, row: calls.Row) -> None:
    """Resume the tasks that waited for the call, if it has ended."""
    if calls.ended(row):
        scoring.parking.call_arrived(record.at.partition, ids.call_key(event.project_id, event.call_id))
