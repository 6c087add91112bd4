"""Takes in rules, and cancels and retries of accepted requests, which `agents.steering` carries out.

The record of a control is acknowledged once it is carried out, so that a restart does not forget it.
"""

from typing import Any

from agents.scoring import scoring
from agents.stream import apply, each
from app import topics
from app.events import RuleSet
from app.faust_app import app
from tables import folds


@app.agent(topics.controls.channel(), name="controls")
async def steer(stream: Any) -> None:
    async for record in each(stream.noack()):
        control, number = apply(record, folds.CONTROLS) or (None, None)
        if isinstance(control, RuleSet) or control is None or number is None:
            record.acknowledge()  # nothing is left to do: it also may be a dead letter, or a control that came before
        else:
            scoring.steering.obey(record.at.partition, control.request_id, number, record.acknowledge)
