"""Merges the parts of logged calls into tables/calls, and wakes the tasks that waited for them."""

from typing import Any

from agents.scoring import scoring
from agents.stream import CannotApply, Record, consume
from app import ids, topics
from app.events import CallLogged
from app.faust_app import app
from tables import calls


@app.agent(topics.calls.channel(), name="calls")
async def calls_agent(stream: Any) -> None:
    await consume(stream, handle)


def handle(record: Record) -> None:
    event = CallLogged.model_validate_json(record.value or b"")
    key = ids.call_key(event.project_id, event.call_id)
    row, verdict = calls.merge(calls.load(record.partition, key), event, record.offset)
    if verdict == "call_rewritten":
        raise CannotApply(verdict, f"call {event.call_id}: its {event.part} is already logged with other content")
    if verdict == "call_too_large":
        raise CannotApply(verdict, f"call {event.call_id}: start and end together exceed {calls.MAX_CALL_BYTES} bytes")
    assert row is not None
    calls.save(record.partition, key, row)
    if calls.ended(row):
        scoring.call_arrived(record.partition, key)
