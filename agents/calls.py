"""Merges the parts of logged calls into tables/calls, resumes the tasks that waited for them, and applies rules."""

from typing import Any

from agents.rules import rules
from agents.scoring import scoring
from agents.stream import Record, apply, each
from app import ids, topics
from app.events import CallLogged
from app.faust_app import app
from tables import calls, folds


@app.agent(topics.calls.channel(), name="calls")
async def calls_agent(stream: Any) -> None:
    async for record in each(stream.noack()):
        event, row = apply(record, folds.CALLS, wake_tasks) or (None, None)
        record.drop_value()
        if event is None or row is None:
            record.acknowledge()
        else:
            rules.logged(record.at, event, row, record.acknowledge)


def wake_tasks(record: Record, event: CallLogged, row: calls.Row) -> None:
    """Resume the tasks that waited for the call, if it has ended."""
    if calls.ended(row):
        scoring.parking.call_arrived(record.at.partition, ids.call_key(event.project_id, event.call_id))
