"""Tasks in flight on this worker: in memory only, gone with the worker, since the log still owes them."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from app.events import Target


@dataclass(slots=True, eq=False)
class Entry:
    """One task from its start until the recorder has applied what became of it."""

    partition: int
    key: bytes
    project_id: str
    scorer_ref: str
    targets: list[Target]
    since: float
    size: int = 0  # bytes of the call that it holds while it runs
    running: bool = True  # until `say`
    holds_place: bool = True  # of the worker's and its scorer's places
    said_at: float = 0.0  # by its event: when that was made
    task: Any = None  # what was started
    run: Any = None  # its attempt, where others could be stopped by it
    withdrawn: list[Target] = field(default_factory=list)  # targets that it had, of requests that were cancelled
    later: list[Any] = field(default_factory=list)  # tasks of the same key, to be started again afterwards
    gone: "asyncio.Future[None] | None" = None  # resolves when it is no longer in flight, if somebody waits for that

    @property
    def under_way(self) -> bool:
        """Whether an attempt runs, or its outcome is on its way to the tables."""
        return self.running or self.run is not None

    @property
    def lane(self) -> tuple[str, str]:
        """Project id and scorer ref."""
        return self.project_id, self.scorer_ref

    async def end(self) -> None:
        """Wait until the recorder has applied what became of it."""
        if self.gone is None:
            self.gone = asyncio.get_running_loop().create_future()
        await asyncio.shield(self.gone)


_entries: dict[bytes, Entry] = {}
_places = 0  # that they hold
_places_of: Counter[str] = Counter()  # by scorer ref
_of_lane: Counter[tuple[str, str]] = Counter()  # by project id and scorer ref
_held = 0  # bytes
_held_of: Counter[str] = Counter()  # by scorer ref


def add(entry: Entry) -> None:
    global _places
    _entries[entry.key] = entry
    _places += 1
    _places_of[entry.scorer_ref] += 1
    _of_lane[entry.lane] += 1


def get(key: bytes) -> Entry | None:
    return _entries.get(key)


def pop(key: bytes) -> None:
    global _held
    entry = _entries.pop(key, None)
    if entry is not None:
        if entry.gone is not None:
            entry.gone.set_result(None)
        _held -= entry.size
        _held_of[entry.scorer_ref] -= entry.size
        if not _held_of[entry.scorer_ref]:
            del _held_of[entry.scorer_ref]
        entry.running = False  # what comes of it later counts for nothing
        if entry.holds_place:
            _free(entry)
        _of_lane[entry.lane] -= 1
        if not _of_lane[entry.lane]:
            del _of_lane[entry.lane]


def say(entry: Entry, at: float, keep_place: bool = False) -> None:
    """What became of the entry's task is on its way to the log, in an event that was made `at`.

    With `keep_place` it holds its place until that is applied.
    """
    entry.running, entry.said_at = False, at
    if entry.holds_place and not keep_place:
        _free(entry)


def _free(entry: Entry) -> None:
    global _places
    entry.holds_place = False
    _places -= 1
    _places_of[entry.scorer_ref] -= 1
    if not _places_of[entry.scorer_ref]:
        del _places_of[entry.scorer_ref]


def hold(entry: Entry, size: int) -> None:
    """The entry's task holds a call of `size` bytes from now on."""
    global _held
    entry.size = size
    _held += size
    _held_of[entry.scorer_ref] += size


def held_bytes() -> int:
    """Bytes of the calls that tasks in flight hold."""
    return _held


def held_bytes_of(scorer_ref: str) -> int:
    """Bytes of the calls that tasks of a scorer hold."""
    return _held_of[scorer_ref]


def entries() -> Iterator[Entry]:
    return iter(_entries.values())


def size() -> int:
    return len(_entries)


def places() -> int:
    """How many places are held: by tasks that run, and by those that were stopped."""
    return _places


def places_of(scorer_ref: str) -> int:
    """How many places tasks of a scorer hold."""
    return _places_of[scorer_ref]


def of_lane(project_id: str, scorer_ref: str) -> int:
    """How many tasks of a scorer in a project are in flight."""
    return _of_lane[project_id, scorer_ref]


# --- queries -------------------------------------------------------------------------------------


def running_by_request(partition: int) -> dict[str, int]:
    """How many tasks of each request run right now in a partition of this worker."""
    found: Counter[str] = Counter()
    for entry in _entries.values():
        if entry.under_way and entry.partition == partition:
            found.update({target.request_id for target in entry.targets})
    return dict(found)
