"""Takes requests in: claims and headers into their tables, chunks into tables/chunks and into the lanes of scoring.

A chunk's record is acknowledged when each of its tasks is terminal or parked, both of which are rows; records are
acknowledged in order, so that the committed offset never passes a chunk that still owes work.
"""

from typing import Any

from agents.lanes import Chunk
from agents.scoring import scoring
from agents.stream import Record, apply, each
from agents.tickets import Tickets
from app import topics
from app.events import RequestAccepted, RequestClaimed, ScoreRequested, request_events
from app.faust_app import app
from tables import chunks, claims, requests

tickets = Tickets()


@app.agent(topics.score_requests.channel(), name="fan-out")
async def fan_out(stream: Any) -> None:
    async for record in each(stream.noack()):
        ticket = tickets.add(record.partition, record.event)
        chunk = apply(record, request_events.validate_json, take_in)
        if chunk is None:
            ticket.finish()
            continue
        # The event waits for its tasks, possibly for long: let go of its payload.
        record.event.value = record.event.message.value = None
        chunk.when_settled.append(ticket.finish)
        scoring.add(chunk)


def take_in(record: Record, event: ScoreRequested | RequestClaimed | RequestAccepted) -> Chunk | None:
    """Store the record's row; returns the chunk that it brings, if it brings one."""
    if isinstance(event, RequestClaimed):
        claim = claims.load(record.partition, event.request_id)
        claims.save(record.partition, claims.fold(claim, event, record.offset))
        return None
    if isinstance(event, RequestAccepted):
        known = requests.load(record.partition, event.request_id)
        requests.save(record.partition, requests.fold(known, event, record.offset))
        return None
    row = chunks.fold(chunks.load(record.partition, event.request_id, event.chunk), event, record.offset)
    chunks.save(record.partition, row)
    if row.offset != record.offset or not event.call_ids or not event.scorer_refs:
        return None  # without work, or the same chunk at another position: the first one brought the work
    return Chunk(record.partition, event)
