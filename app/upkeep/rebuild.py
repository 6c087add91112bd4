"""Applying the log to tables in a separate folder, as the agents apply it to theirs."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app import topics
from app.client.progress import bar
from app.client.text import number, seconds
from app.upkeep.broker import Source
from tables import base, folds
from tables.at import At

Offsets = Mapping[str, list[int]]  # of each partition, by topic

_RECORDS_BETWEEN_UPDATES = 500


@dataclass
class Applied:
    """How many records were applied, how many of these cannot be applied, and how long it took."""

    records: int = 0
    letters: int = 0
    seconds: float = 0.0


async def apply(
    log: Source, directory: Path, start: Offsets | None = None, end: Offsets | None = None, as_of: float | None = None
) -> Applied:
    """Apply the records of the log, from `start` to before `end`, to the tables in `directory`. Shows its progress.

    With `as_of` (Unix seconds), only those appended up to then.
    """
    ends = end or await log.ends()
    starts = start or {topic: [0] * len(offsets) for topic, offsets in ends.items()}
    total = sum(
        max(0, until - since) for topic in ends for since, until in zip(starts[topic], ends[topic], strict=True)
    )
    done = Applied()
    began = time.monotonic()
    with _tables_in(directory), bar("Replaying") as shown:
        for topic in topics.ALL:
            fold, name = folds.BY_TOPIC[topic], topics.plain(topic.name)
            for partition, (since, until) in enumerate(zip(starts[name], ends[name], strict=True)):
                async for record in log.records(name, partition, since, until):
                    if as_of is None or record.timestamp / 1000 <= as_of:
                        done.records += 1
                        try:
                            at = At(partition, record.offset, record.timestamp / 1000)
                            fold.apply(at, fold.decode(record.value))
                        except folds.CannotApply:
                            done.letters += 1
                    if done.records % _RECORDS_BETWEEN_UPDATES == 0:
                        shown.show(done.records, total, _progress(done.records, total, time.monotonic() - began))
    done.seconds = time.monotonic() - began
    return done


@contextmanager
def _tables_in(directory: Path) -> Iterator[None]:
    base.keep_in(directory)
    try:
        yield
    finally:
        base.keep_in(None)


def _progress(done: int, total: int, elapsed: float) -> str:
    rate = done / max(elapsed, 1e-6)
    left = f", {seconds((total - done) / rate)} to go" if done else ""
    return f"{number(done)} of {number(total)} records, {number(round(rate))}/s{left}"
