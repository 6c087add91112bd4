"""Statistics of a log."""

from dataclasses import dataclass, field
from pathlib import Path

from . import keys
from .view import View


@dataclass(slots=True)
class PartitionStats:
    """One partition. `size` is in bytes before compression; `committed` is the offset of each group."""

    topic: str
    partition: int
    start: int
    end: int
    records: int = 0
    size: int = 0
    committed: dict[str, int] = field(default_factory=dict)


def stats(path: Path) -> list[PartitionStats]:
    """Every partition, in order of topic and number; reads the whole log.

    Raises:
        NoLog, LogUnavailable, LogFormatMismatch, LogBlockCorrupt: it cannot be read.
    """
    with View(path) as view:
        found = []
        for name in sorted(view.topics):
            for partition in view.topics[name].partitions:
                counted = PartitionStats(name, partition.number, partition.start, partition.end)
                for key, raw in view.scan(partition.prefix, partition.prefix + keys.pack_offset(partition.start)):
                    counted.records += 1
                    counted.size += len(key) + len(raw)
                for (group, topic, number), offset in view.committed.items():
                    if (topic, number) == partition.tp:
                        counted.committed[group] = offset
                found.append(counted)
        return found
