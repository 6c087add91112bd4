"""Takes in what is asked of requests after they were accepted; `agents.steering` carries it out.

A control's record is acknowledged once that is done: until then it is what remembers that it is owed.
"""

from functools import partial
from typing import Any

from agents.scoring import scoring
from agents.stream import Record, acknowledge, apply, each
from app import topics
from app.events import Control
from app.faust_app import app
from tables import folds


@app.agent(topics.controls.channel(), name="controls")
async def steer(stream: Any) -> None:
    async for record in each(stream.noack()):
        known = apply(record, folds.CONTROLS.decode, take_in)
        if known is None:
            acknowledge(record.event)
        else:
            scoring.steering.obey(record.at.partition, *known, partial(acknowledge, record.event))


def take_in(record: Record, control: Control) -> tuple[str, int] | None:
    """Store the record's rows; returns the request id and the control's number, None for one that was there already."""
    number = folds.CONTROLS.apply(record.at, control)
    return None if number is None else (control.request_id, number)
