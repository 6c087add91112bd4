"""Takes requests in: claims and headers into their tables, chunks into tables/chunks and into the lanes of scoring.

A chunk's record is acknowledged when each of its tasks is terminal or parked, both of which are rows.
"""

from functools import partial
from typing import Any

from agents.lanes import Chunk
from agents.scoring import scoring
from agents.stream import Record, acknowledge, apply, each
from app import topics
from app.events import RequestAccepted, RequestClaimed, ScoreRequested
from app.faust_app import app
from tables import folds


@app.agent(topics.score_requests.channel(), name="fan-out")
async def fan_out(stream: Any) -> None:
    async for record in each(stream.noack()):
        event = record.event
        chunk = apply(record, folds.SCORE_REQUESTS.decode, take_in)
        if chunk is None:
            acknowledge(event)
            continue
        # The event waits for its tasks, possibly for long: let go of its payload.
        event.value = event.message.value = None
        chunk.when_settled.append(partial(acknowledge, event))
        scoring.scheduler.add(chunk)


def take_in(record: Record, event: ScoreRequested | RequestClaimed | RequestAccepted) -> Chunk | None:
    """Store the record's row; returns the chunk that it brings, if it brings one."""
    row = folds.SCORE_REQUESTS.apply(record.at, event)
    if row is None or row.offset != record.at.offset or not row.call_ids or not row.scorer_refs:
        return None  # without work, or the same chunk at another position: the first one brought the work
    return Chunk(record.at.partition, row)
