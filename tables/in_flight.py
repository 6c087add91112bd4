"""Tasks in flight on this worker: in memory only, gone with the worker, since the log still owes them."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from app.events import Target


@dataclass(slots=True, eq=False)
class Entry:
    """One task from its start until the recorder has applied what became of it."""

    partition: int
    key: bytes
    scorer_ref: str
    targets: list[Target]
    since: float
    running: bool = True  # False once its event is on its way to the log
    later: list[object] = field(default_factory=list)  # tasks of the same key, to be looked at again afterwards


_entries: dict[bytes, Entry] = {}


def add(entry: Entry) -> None:
    _entries[entry.key] = entry


def get(key: bytes) -> Entry | None:
    return _entries.get(key)


def pop(key: bytes) -> Entry | None:
    return _entries.pop(key, None)


def entries() -> Iterator[Entry]:
    return iter(_entries.values())


def size() -> int:
    return len(_entries)


def running(partition: int, request_id: str) -> int:
    """How many tasks of a request run right now in a partition of this worker."""
    return sum(
        entry.running and entry.partition == partition and any(t.request_id == request_id for t in entry.targets)
        for entry in _entries.values()
    )


def by_scorer() -> Counter[str]:
    """How many tasks of each scorer are in flight."""
    return Counter(entry.scorer_ref for entry in _entries.values())
