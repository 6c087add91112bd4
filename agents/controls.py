"""Takes in what is asked of requests after they were accepted; `agents.steering` carries it out.

A control's record is acknowledged once that is done: until then it is what remembers that it is owed.
"""

from typing import Any

from agents.scoring import scoring
from agents.stream import Record, apply, each
from agents.tickets import Tickets
from app import topics
from app.events import Control, control_events
from app.faust_app import app
from tables import controls

tickets = Tickets()


@app.agent(topics.controls.channel(), name="controls")
async def steer(stream: Any) -> None:
    async for record in each(stream.noack()):
        ticket = tickets.add(record.partition, record.event)
        known = apply(record, control_events.validate_json, take_in)
        if known is None:
            ticket.finish()
        else:
            scoring.steering.obey(record.partition, *known, ticket.finish)


def take_in(record: Record, control: Control) -> tuple[str, int] | None:
    """Store the record's row; returns the request id and the control's number, None for one that was there already."""
    row = controls.fold(controls.load(record.partition, control.request_id), control, record.offset)
    controls.save(record.partition, control.request_id, row)
    number = row.number_at(record.offset)
    return None if number is None else (control.request_id, number)
