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
    await consume(stream, CallLogged.model_validate_json, handle)


def handle(record: Record, event: CallLogged) -> None:
    key = ids.call_key(event.project_id, event.call_id)
    try:
        row, verdict = calls.merge(calls.load(record.partition, key), event, record.offset)
    except TypeError as error:  # a number beyond 64 bits, which the views let nobody log
        raise CannotApply("undecodable", str(error)) from None
    if verdict == "call_rewritten":
        raise CannotApply(verdict, f"call {event.call_id}: its {event.part} is already logged with other content")
    if verdict == "call_too_large":
        raise CannotApply(verdict, f"call {event.call_id}: start and end together exceed {calls.MAX_CALL_BYTES} bytes")
    assert row is not None
    calls.save(record.partition, key, row)
    if calls.ended(row):
        scoring.call_arrived(record.partition, key)
