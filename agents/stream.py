"""How every agent reads its topic: no record is skipped, and none is committed that was not applied."""

import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, TypeVar

from app import topics
from app.events import BuryReason, DeadLetter
from app.faust_app import app
from app.positions import positions
from app.slices import pace
from tables.at import At
from tables.folds import CannotApply, Fold

log = logging.getLogger(__name__)

REDRIVE_OF = "callscore-redrive-of"  # header of a record that is tried again: the id of its dead letter
_LARGEST = 1_400_000  # bytes of a value that a letter about it has room for, in base64

_LOGGED = 10  # dead letters of each reason that the worker logs, and then each thousandth
_buried: Counter[str] = Counter()

E = TypeVar("E")
R = TypeVar("R")


class Record:
    """One record of a topic partition."""

    __slots__ = ("at", "event")

    def __init__(self, event: Any) -> None:
        message = event.message
        self.event = event
        self.at = At(message.partition, message.offset, message.timestamp)

    @property
    def topic(self) -> str:
        return str(self.event.message.topic)

    def acknowledge(self) -> None:
        """Acknowledge it, in a `noack` stream, in any order: commits never pass a record that is not acknowledged.

        Nothing happens if partitions were assigned anew since: then it is delivered again.
        """
        if self.event.message.generation_id == app.consumer_generation_id:
            self.event.ack()

    def drop_value(self) -> None:
        """Free its value, which would stay in memory until it is acknowledged."""
        self.event.value = self.event.message.value = None


async def each(stream: Any) -> AsyncIterator[Record]:
    """Every record of a stream; it is acknowledged when the next one is asked for, unless the stream is `noack`.

    Faust gives out one record in each round of the event loop, so a thousand logged calls would wait for a thousand
    turns of scoring. This gives out all that has been delivered, for the time of one turn.
    """
    queue = stream.channel.queue
    async for event in stream.events():
        yield Record(event)
        until = time.perf_counter() + pace().turn
        while not queue.empty() and time.perf_counter() < until:
            event = queue.get_nowait()
            if not _is_current(event.message):
                continue
            app.consumer.track_message(event.message)
            yield Record(event)
            if stream.enable_acks:
                event.ack()


def _is_current(message: Any) -> bool:
    """Whether no partitions were assigned since the record was delivered; otherwise it is delivered again."""
    return bool(app.flow_control.is_active() and message.generation_id == app.consumer_generation_id)


async def consume(stream: Any, fold: Fold[E, R], then: Callable[[Record, E, R], None] | None = None) -> None:
    """Apply every record of a stream to the tables, call `then` with its event and the fold's result, acknowledge it.

    A record that cannot be decoded or applied becomes a dead letter. If nothing can be written, it is delivered again
    once the disk can be. Any other error ends the process, and the record is delivered again after the restart.
    """
    async for record in each(stream):
        apply(record, fold, then)


def apply(record: Record, fold: Fold[E, R], then: Callable[[Record, E, R], None] | None = None) -> tuple[E, R] | None:
    """Apply one record as `consume` does; returns its event and the fold's result, None if it was not applied."""
    applied = None
    try:
        try:
            event = fold.decode(record.event.message.value)
            applied = event, fold.apply(record.at, event)
            if then is not None:
                then(record, *applied)
        except CannotApply as error:
            bury(record, error.reason, error.detail)
    except Exception:
        app.on_failed_work(f"cannot apply {record.topic}/{record.at.partition}@{record.at.offset}")
        return None
    positions.applied(record.topic, record.at.partition, record.at.offset)
    return applied


def bury(record: Record, reason: BuryReason, detail: str) -> None:
    """Keep a record that could not be applied on the dead-letter topic."""
    _buried[reason] += 1
    if _buried[reason] <= _LOGGED or _buried[reason] % 1000 == 0:  # a file imported twice may bring a million
        where = (record.topic, *record.at[:2])
        log.warning("dead letter: %s/%d@%d: %s (%d with this reason so far)", *where, reason, _buried[reason])
    message = record.event.message
    too_large = len(message.value or b"") > _LARGEST
    letter = DeadLetter(
        topic=record.topic,
        partition=record.at.partition,
        offset=record.at.offset,
        key=message.key,
        value=None if too_large else message.value,
        left_out=too_large,
        reason=reason,
        detail=detail[:2000],
        logged_at=record.at.logged_at,
        redrive_of=_redrive_of(message.headers or ()),
        at=time.time(),
    )
    topics.dead_letters.send(message.key, letter.encode(), record.at.partition)


def _redrive_of(headers: Iterable[tuple[str, bytes | None]]) -> str | None:
    for name, value in headers:
        if name == REDRIVE_OF and value is not None:
            return value.decode(errors="replace")[:1000]
    return None
