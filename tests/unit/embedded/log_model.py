"""A model of the embedded log in plain Python: what a partition must hold after each operation."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from app.embedded.record import Record

KEY_BYTES = 17  # of a stored record: its topic, partition and offset
HEAD_BYTES = 15
HEADER_BYTES = 6


class Stored(NamedTuple):
    """A record to append."""

    key: bytes | None
    value: bytes | None
    timestamp: int
    headers: tuple[tuple[str, bytes | None], ...]

    @property
    def size(self) -> int:
        """Bytes of its stored form, without its key in RocksDB."""
        headers = sum(HEADER_BYTES + len(name.encode()) + len(content or b"") for name, content in self.headers)
        return HEAD_BYTES + len(self.key or b"") + len(self.value or b"") + headers


@dataclass
class Partition:
    """One partition: its records by offset, and its topic's config."""

    config: Mapping[str, Any]
    records: dict[int, Stored] = field(default_factory=dict)
    start: int = 0
    end: int = 0
    committed: int | None = None
    tombstones_seen: dict[int, int] = field(default_factory=dict)  # offset → when a cleaning first read it

    def append(self, record: Stored) -> None:
        self.records[self.end] = record
        self.end += 1

    def read(self, offset: int, max_records: int, max_bytes: int) -> list[tuple[int, Stored]]:
        found: list[tuple[int, Stored]] = []
        size = 0
        for at in sorted(self.records):
            if at >= offset:
                found.append((at, self.records[at]))
                size += self.records[at].size
                if len(found) == max_records or size >= max_bytes:
                    break
        return found

    def clean(self, now: int) -> None:
        policy = str(self.config.get("cleanup.policy", "")).split(",")
        if "compact" in policy:
            self._keep_newest()
            self._expire(now)
        if "delete" in policy:
            self._retain(now)

    def _keep_newest(self) -> None:
        newest = {record.key: at for at, record in sorted(self.records.items())}
        self.records = {
            at: record for at, record in self.records.items() if record.key is None or newest[record.key] == at
        }

    def _expire(self, now: int) -> None:
        for at, record in list(self.records.items()):
            if record.value is None and record.key is not None:
                seen = self.tombstones_seen.setdefault(at, now)
                if now >= seen + self.config["delete.retention.ms"] and at != self.end - 1:
                    del self.records[at]

    def _retain(self, now: int) -> None:
        size = sum(KEY_BYTES + record.size for record in self.records.values())
        for at in sorted(self.records):
            record = self.records[at]
            too_big = 0 <= self.config.get("retention.bytes", -1) < size
            if not (record.timestamp < now - self.config["retention.ms"] or too_big):
                break
            size -= KEY_BYTES + record.size
            del self.records[at]
            self.start = at + 1


def seen(record: Record) -> tuple[int, Stored]:
    """A record as it was read, in the model's terms."""
    return record.offset, Stored(record.key, record.value, record.timestamp, tuple(record.headers))
