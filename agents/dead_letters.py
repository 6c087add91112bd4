"""Keeps dead letters in tables/dead_letters, and redrives their records on request.

A record is redriven by appending it to its partition again, with a header that names its letter. Of all orders for a
letter only the first is carried out; to dismiss it only changes its row.
"""

import asyncio
import math
from time import perf_counter
from typing import Any, get_args

from prometheus_client import Counter, Gauge

from agents.stream import REDRIVE_OF, Record, consume
from app import cluster, topics
from app.events import BuryReason, LetterEvent
from app.faust_app import app
from app.positions import positions
from app.slices import Turns
from tables import dead_letters, folds

_letters = Counter("callscore_dead_letters_total", "Records that could not be processed.", ["topic", "reason"])
for _topic in topics.NAMES:
    for _reason in get_args(BuryReason):
        _letters.labels(_topic, _reason)  # at 0, so that an alarm on its increase also goes off for the first letter

_open = Gauge("callscore_dead_letters_open", "Open dead letters in this worker's partitions; NaN until counted.")
_open.set(math.nan)
_COUNT_AGAIN = 5.0  # seconds
_IDLE = 20  # times as long as a count took, until the next one

_Counted = tuple[int, int]  # the offset up to which a partition's letters were counted, and how many were open


@app.agent(topics.dead_letters.channel(), name="dead-letters")
async def keep(stream: Any) -> None:
    await consume(stream, folds.DEAD_LETTERS, redrive_if_ordered)


def redrive_if_ordered(record: Record, _: LetterEvent, applied: tuple[dead_letters.Row | None, bool]) -> None:
    row, is_new = applied
    if row is not None and is_new:
        _letters.labels(topics.plain(row.letter.topic), row.letter.reason).inc()
    if row is not None and row.redriven_offset == record.at.offset:  # also when it is delivered again
        _redrive(row)


def _redrive(row: dead_letters.Row) -> None:
    letter = row.letter
    origin = topics.named(letter.topic)
    if origin is not None and not letter.left_out:
        header = (REDRIVE_OF, dead_letters.id_of(letter).encode())
        origin.send(letter.key, letter.value, letter.partition, [header])


async def follow_open() -> None:
    """Keep the gauge of open letters right, for ever; a partition is counted again once it has applied more."""
    counted: dict[int, _Counted] = {}
    while True:
        began = perf_counter()
        try:
            counted = await _count(counted)
            _open.set(sum(number for _, number in counted.values()))
        except cluster.Unavailable:
            _open.set(math.nan)
        await asyncio.sleep(max(_COUNT_AGAIN, _IDLE * (perf_counter() - began)))


async def _count(before: dict[int, _Counted]) -> dict[int, _Counted]:
    """The open letters by partition of this worker. Raises Unavailable."""
    cluster.check_ready()
    counted = {}
    for partition in cluster.partitions_here():
        applied = positions.get(topics.dead_letters.name, partition)
        known = before.get(partition)
        counted[partition] = known if known and known[0] == applied else (applied, await _open_in(partition))
    return counted


async def _open_in(partition: int) -> int:
    count, after, turns = 0, None, Turns()
    while True:
        found, after = await cluster.ask_here(dead_letters.count_open, partition, after)
        count += found
        if after is None:
            return count
        await turns.breathe()
