"""Keeps dead letters in tables/dead_letters, and redrives their records on request.

A record is redriven by appending it to its partition again, with a header that names its letter. Of all orders for a
letter only the first is carried out; to dismiss it only changes its row.
"""

from typing import Any, get_args

from prometheus_client import Counter

from agents.stream import REDRIVE_OF, Record, consume
from app import topics
from app.events import BuryReason, LetterEvent
from app.faust_app import app
from tables import dead_letters, folds

_letters = Counter("callscore_dead_letters_total", "Records that could not be processed.", ["topic", "reason"])
for _topic in topics.NAMES:
    for _reason in get_args(BuryReason):
        _letters.labels(_topic, _reason)  # at 0, so that an alarm on its increase also goes off for the first letter


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
