"""Stores requests, and adds their chunks to the lanes of scoring.

A chunk's record is acknowledged when each of its tasks is terminal or parked, and so in a table.
"""

from functools import partial
from typing import Any

from agents.lanes import Chunk
from agents.scoring import scoring
from agents.stream import acknowledge, apply, each
from app import topics
from app.faust_app import app
from tables import chunks, folds


@app.agent(topics.score_requests.channel(), name="fan-out")
async def fan_out(stream: Any) -> None:
    async for record in each(stream.noack()):
        event = record.event
        _, row = apply(record, folds.SCORE_REQUESTS) or (None, None)
        if row is None or not _brings_work(row, record.at.offset):
            acknowledge(event)
            continue
        event.value = event.message.value = None  # which would stay in memory until the tasks are settled
        chunk = Chunk(record.at.partition, row)
        chunk.when_settled.append(partial(acknowledge, event))
        scoring.scheduler.add(chunk)


def _brings_work(row: chunks.Row, offset: int) -> bool:
    """Whether the record at `offset` is the first with this chunk, and there is something to score."""
    return row.offset == offset and bool(row.call_ids) and bool(row.scorer_refs)
