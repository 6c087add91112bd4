"""Takes requests in: headers into tables/requests, chunks into tables/chunks and into the lanes that scoring works on.

A chunk's record is acknowledged when each of its tasks is terminal or parked, both of which are rows; records are
acknowledged in order, so that the committed offset never passes a chunk that still owes work.
"""

from collections import deque
from typing import Any

from agents.lanes import Chunk
from agents.scoring import scoring
from agents.stream import Record, apply
from app import topics
from app.events import RequestAccepted, request_events
from app.faust_app import app
from tables import chunks, requests


class InOrder:
    """Acknowledges the records of one partition in order, however they finish."""

    def __init__(self) -> None:
        self._open: deque[list[Any]] = deque()  # [event, finished]

    def add(self, event: Any) -> list[Any]:
        entry = [event, False]
        self._open.append(entry)
        return entry

    def finish(self, entry: list[Any]) -> None:
        entry[1] = True
        while self._open and self._open[0][1]:
            self._open.popleft()[0].ack()


_in_order: dict[int, InOrder] = {}


def forget(partition: int) -> None:
    """The partition was assigned anew: its records come again from the committed offset on."""
    _in_order.pop(partition, None)


@app.agent(topics.score_requests.channel(), name="fan-out")
async def fan_out(stream: Any) -> None:
    async for event in stream.noack().events():
        apply(Record(event), handle)


def handle(record: Record) -> None:
    in_order = _in_order.setdefault(record.partition, InOrder())
    entry = in_order.add(record.event)
    try:
        chunk = take_in(record)
    except ValueError:
        in_order.finish(entry)
        raise
    if chunk is None:
        in_order.finish(entry)
        return
    # The event waits for its tasks, possibly for long: let go of its payload.
    record.event.value = record.event.message.value = None
    chunk.when_settled = lambda: in_order.finish(entry)
    scoring.add(chunk)


def take_in(record: Record) -> Chunk | None:
    """Store the record's row; returns the chunk that it brings, if it brings one."""
    event = request_events.validate_json(record.value or b"")
    if isinstance(event, RequestAccepted):
        requests.save(
            record.partition, requests.fold(requests.load(record.partition, event.request_id), event, record.offset)
        )
        return None
    row = chunks.fold(chunks.load(record.partition, event.request_id, event.chunk), event, record.offset)
    chunks.save(record.partition, row)
    if row.offset != record.offset or not event.call_ids or not event.scorer_refs:
        return None  # without work, or the same chunk at another position: the first one brought the work
    return Chunk(record.partition, event)
