"""Inspecting the embedded log: statistics, damage, records."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.client.errors import BadInput
from app.embedded import check as embedded_check
from app.embedded import keys
from app.embedded.record import Record
from app.embedded.topic import Partition
from app.embedded.view import View
from app.raw import json_field, text_field
from app.upkeep import paths
from app.upkeep.errors import as_command_errors, no_topic


def stats(directory: Path | None) -> list[dict[str, Any]]:
    """Statistics of each partition, of the log of the settings or in `directory`. Reads it all; it may be in use.

    `bytes` are those of the records before compression; `committed` and `lag` are by consumer group.

    Raises:
        CommandError: the log cannot be read.
    """
    with as_command_errors(), View(paths.log_at(directory)) as view:
        return [_stats(view, found) for name in sorted(view.topics) for found in view.topics[name].partitions]


def _stats(view: View, partition: Partition) -> dict[str, Any]:
    records = size = 0
    for key, raw in view.scan(partition.prefix, partition.prefix + keys.pack_offset(partition.start)):
        records += 1
        size += len(key) + len(raw)
    committed = {group: offset for (group, *where), offset in view.committed.items() if tuple(where) == partition.tp}
    return {
        "topic": partition.topic,
        "partition": partition.number,
        "start": partition.start,
        "end": partition.end,
        "records": records,
        "bytes": size,
        "committed": committed,
        "lag": {group: partition.end - offset for group, offset in committed.items()},
    }


def check(directory: Path | None) -> Iterator[str]:
    """The problems of a log that is not in use. Raises CommandError if it cannot be checked."""
    with as_command_errors():
        yield from embedded_check.check(paths.log_at(directory))


def dump(
    directory: Path | None, topic: str | None, partition: int | None, start: int, end: int | None
) -> Iterator[dict[str, Any]]:
    """Records in readable form; `start` and `end` apply to each partition. The log may be in use.

    Raises:
        CommandError: the log cannot be read.
        BadInput: there is no such topic or partition.
    """
    with as_command_errors(), View(paths.log_at(directory)) as view:
        if topic is not None and topic not in view.topics:
            raise no_topic(topic, view.topics)
        chosen = [view.topics[name] for name in sorted(view.topics) if topic in (None, name)]
        partitions = [found for known in chosen for found in known.partitions if partition in (None, found.number)]
        if not partitions and partition is not None:
            raise BadInput(f"There is no partition {partition}; the first is 0.")
        for found in partitions:
            for record in view.records(found, max(start, found.start), end):
                yield _readable(record)


def _readable(record: Record) -> dict[str, Any]:
    at = datetime.fromtimestamp(record.timestamp / 1000, UTC).isoformat(timespec="milliseconds")
    return {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": at.replace("+00:00", "Z"),
        **text_field("key", record.key),
        **json_field("value", record.value),
        "headers": [{"name": name, **text_field("value", content)} for name, content in record.headers],
    }
