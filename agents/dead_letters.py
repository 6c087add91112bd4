"""Keeps dead letters in tables/dead_letters, and has their records tried again when somebody orders it.

A record is tried again by appending it once more where it lay, with a header that names its letter. Of all orders for a
letter only the first is carried out; one that dismisses it takes no more than its row.
"""

from typing import Any

from prometheus_client import Counter

from agents.stream import REDRIVE_OF, Record, consume
from app import topics
from app.events import LetterEvent
from app.faust_app import app
from tables import dead_letters, folds

_letters = Counter("callscore_dead_letters_total", "Records that could not be processed.", ["topic", "reason"])


@app.agent(topics.dead_letters.channel(), name="dead-letters")
async def keep(stream: Any) -> None:
    await consume(stream, folds.DEAD_LETTERS.decode, handle)


def handle(record: Record, event: LetterEvent) -> None:
    row, is_new = folds.DEAD_LETTERS.apply(record.at, event)
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
