"""Stores requests, and adds their chunks to the lanes of scoring.

A chunk's record is acknowledged when each of its tasks is terminal or parked, and so in a table.
"""

from typing import Any

from agents.chunk import Chunk
from agents.scoring import scoring
from agents.stream import apply, each
from app import topics
from app.events import RequestAccepted, ScoreRequested
from app.faust_app import app
from tables import chunks, folds, rules


@app.agent(topics.score_requests.channel(), name="fan-out")
async def fan_out(stream: Any) -> None:
    async for record in each(stream.noack()):
        requested, row = apply(record, folds.SCORE_REQUESTS) or (None, None)
        if row is not None and isinstance(requested, ScoreRequested) and requested.rule is not None:
            _open_request(record.at.partition, requested, row)
        if row is None or not _brings_work(row, record.at.offset):
            record.acknowledge()
            continue
        record.drop_value()
        chunk = Chunk(record.at.partition, row)
        chunk.when_settled.append(record.acknowledge)
        scoring.scheduler.add(chunk)


def _brings_work(row: chunks.Row, offset: int) -> bool:
    """Whether the record at `offset` is the first with this chunk, and there is something to score."""
    return row.offset == offset and bool(row.call_ids) and bool(row.scorer_refs)


def _open_request(partition: int, event: ScoreRequested, row: chunks.Row) -> None:
    """Write the header of a rule's request with its first chunk in a partition; of several, the first counts."""
    known = rules.load_request(partition, event.request_id)
    if event.rule is None or known is None or known.first != row.offset:
        return
    header = RequestAccepted(
        request_id=event.request_id,
        project_id=event.project_id,
        scorer_refs=event.scorer_refs,
        calls=0,
        chunks=0,
        requested_by=None,
        requested_at=event.requested_at,
        rule_id=event.rule.rule_id,
        open_until=event.rule.open_until,
    )
    key = event.request_id.encode()
    topics.score_requests.send(key, header.encode(), topics.partition_of(key))
