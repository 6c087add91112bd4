"""What a stopped service left on disk: its tables and its log."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import rocksdict

from app.embedded.log import Log
from app.events import ScoreEvents

OFFSET_KEY = b"__faust\0offset__"
GROUP = "callscore"
PRIMARY = ("calls", "scorers", "score-requests", "score-events")

Rows = dict[str, dict[tuple[int, bytes], bytes]]  # table → (partition, key) → value


def tables(data_dir: Path) -> Rows:
    """All rows of all tables, without Faust's own offset key."""
    rows: Rows = {}
    for path in sorted((data_dir / "instance-0" / "tables").glob("*.db")):
        name, partition = path.name.removesuffix(".db").rsplit("-", 1)
        options = rocksdict.Options(raw_mode=True)
        database: Any = rocksdict.Rdict(str(path), options, access_type=rocksdict.AccessType.read_only())
        found = {(int(partition), key): value for key, value in database.items() if key != OFFSET_KEY}
        database.close()
        rows.setdefault(name, {}).update(found)
    return rows


def with_log(data_dir: Path, use: Callable[[Log], Any]) -> Any:
    """Open the stopped service's log, hand it to `use`, and close it; returns what `use` returned."""

    async def run() -> Any:
        log = Log(data_dir / "log")
        try:
            return use(log)
        finally:
            await log.flush()
            await log.close()

    return asyncio.run(run())


def records(log: Log, topic: str) -> Iterator[Any]:
    """All records of a topic, partition by partition, in order."""
    for partition in range(log.partition_count(topic) or 0):
        offset, end = log.earliest(topic, partition), log.highwater(topic, partition)
        while offset < end:
            for record in log.read(topic, partition, offset, 1000):
                yield partition, record
                offset = record.offset + 1


def rewind(log: Log, choose: Callable[[int], int]) -> None:
    """Set every committed offset of the primary topics back to what `choose` makes of it."""
    back = {}
    for topic in PRIMARY:
        for partition in range(log.partition_count(topic) or 0):
            committed = log.committed(GROUP, topic, partition)
            if committed:
                back[topic, partition] = choose(committed)
    log.commit(GROUP, back)


def append_again(log: Log) -> None:
    """Append every record of the primary topics once more, to the partition it is in."""
    for topic in PRIMARY:
        for partition, record in list(records(log, topic)):
            log.append(topic, partition, record.key, record.value)


def terminal_events(log: Log) -> dict[tuple[str, str, str, str, int], int]:
    """How often each round of each task became terminal in the log, superseded repeats included."""
    found: dict[tuple[str, str, str, str, int], int] = {}
    for _, record in records(log, "score-events"):
        for event in ScoreEvents.model_validate_json(record.value).events:
            if event.type in ("ScoreSucceeded", "ScoreFailed"):
                task = (event.project_id, event.call_id, event.scorer_ref, event.occasion, event.round)
                found[task] = found.get(task, 0) + 1
    return found
