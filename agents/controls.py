"""Takes in what is asked of requests after they were accepted; `agents.steering` carries it out.

A control's record is acknowledged once that is done: until then it is what remembers that it is owed.
"""

from typing import Any

from agents.scoring import scoring
from agents.stream import Record, apply, each
from agents.tickets import Tickets
from app import topics
from app.events import Control
from app.faust_app import app
from tables import folds

tickets = Tickets()


@app.agent(topics.controls.channel(), name="controls")
async def steer(stream: Any) -> None:
    async for record in each(stream.noack()):
        ticket = tickets.add(record.at.partition, record.event)
        known = apply(record, folds.CONTROLS.decode, take_in)
        if known is None:
            ticket.finish()
        else:
            scoring.steering.obey(record.at.partition, *known, ticket.finish)


def take_in(record: Record, control: Control) -> tuple[str, int] | None:
    """Store the record's row; returns the request id and the control's number, None for one that was there already."""
    number = folds.CONTROLS.apply(record.at, control).number_at(record.at.offset)
    return None if number is None else (control.request_id, number)
