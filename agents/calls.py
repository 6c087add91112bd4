"""Merges the parts of logged calls into tables/calls, resumes the tasks that waited for them, and applies rules."""

from functools import partial
from typing import Any

from agents.rules import rules
from agents.scoring import scoring
from agents.stream import Record, acknowledge, apply, each
from app import ids, topics
from app.events import CallLogged
from app.faust_app import app
from tables import calls, folds


@app.agent(topics.calls.channel(), name="calls")
async def calls_agent(stream: Any) -> None:
    async for record in each(stream.noack()):
        done = partial(acknowledge, record.event)
        event, row = apply(record, folds.CALLS, wake_tasks) or (None, None)
        record.event.value = record.event.message.value = None  # which would stay in memory until rules have decided
        if event is None or row is None:
            done()
        else:
            rules.logged(record.at, event, row, done)


def wake_tasks(record: Record, event: CallLogged, row: calls.Row) -> None:
    """Resume the tasks that waited for the call, if it has ended."""
    if calls.ended(row):
        scoring.parking.call_arrived(record.at.partition, ids.call_key(event.project_id, event.call_id))
