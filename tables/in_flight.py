"""Tasks in flight on this worker. In memory only: after a crash the log still owes them."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from app.events import Target
from app.scorers import ScorerKey
from tables.tasks import Task


@dataclass(slots=True, eq=False)
class Entry:
    """A task in flight: from its start until the recorder has applied its event.

    It runs in a slot until its event is sent, or its partition is lost; that takes no time if the task only joins, is
    parked or withdrawn, or if its scorer runs inline. Then the slot is free, and the event on its way. A task that is
    cancelled while it runs keeps its slot until it has left.
    """

    task: Task
    since: float
    size: int = 0  # bytes of the call that it holds in memory
    running: bool = True  # until its event is sent
    holds_slot: bool = True  # one of the worker's slots, and of its scorer's
    sent_at: float = 0.0  # the `at` of the event that was sent last
    attempt: Any = None  # the attempt that runs, unless it ran inline
    withdrawn: list[Target] = field(default_factory=list)  # targets of requests that were cancelled since
    later: list[Task] = field(default_factory=list)  # tasks with the same key, to be started once this one has left
    left: asyncio.Event | None = None  # set when it is no longer in flight, if somebody waits for that

    @property
    def under_way(self) -> bool:
        """Whether an attempt runs, or its outcome is on its way to the tables."""
        return self.running or self.attempt is not None

    async def until_applied(self) -> None:
        """Wait until the task is no longer in flight."""
        if get(self.task.key) is not self:
            return
        if self.left is None:
            self.left = asyncio.Event()
        await self.left.wait()


_entries: dict[bytes, Entry] = {}
_slots = 0  # that are held
_slots_of: Counter[str] = Counter()  # by scorer ref
_of_scorer: Counter[ScorerKey] = Counter()
_held = 0  # bytes
_held_of: Counter[str] = Counter()  # by scorer ref


def enter(task: Task) -> Entry:
    """The entry of a task that is in flight from now on."""
    global _slots
    entry = _entries[task.key] = Entry(task, time.time())
    _slots += 1
    _slots_of[task.scorer_ref] += 1
    _of_scorer[task.project_id, task.scorer_ref] += 1
    return entry


def get(key: bytes) -> Entry | None:
    return _entries.get(key)


def pop(key: bytes) -> None:
    global _held
    entry = _entries.pop(key, None)
    if entry is None:
        return
    if entry.left is not None:
        entry.left.set()
    entry.running = False  # a late outcome changes nothing
    if entry.holds_slot:
        _free_slot(entry)
    task = entry.task
    _held -= entry.size
    _held_of[task.scorer_ref] -= entry.size
    if not _held_of[task.scorer_ref]:
        del _held_of[task.scorer_ref]
    scorer = task.project_id, task.scorer_ref
    _of_scorer[scorer] -= 1
    if not _of_scorer[scorer]:
        del _of_scorer[scorer]


def mark_sent(entry: Entry, at: float, keep_slot: bool = False) -> None:
    """The task's event, made `at`, is on its way to the log. With `keep_slot` its slot is free once it is applied."""
    entry.running, entry.sent_at = False, at
    if entry.holds_slot and not keep_slot:
        _free_slot(entry)


def _free_slot(entry: Entry) -> None:
    global _slots
    entry.holds_slot = False
    _slots -= 1
    ref = entry.task.scorer_ref
    _slots_of[ref] -= 1
    if not _slots_of[ref]:
        del _slots_of[ref]


def hold(entry: Entry, size: int) -> None:
    """From now on the task holds a call of `size` bytes in memory."""
    global _held
    entry.size = size
    _held += size
    _held_of[entry.task.scorer_ref] += size


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


def slots() -> int:
    """How many slots are held: by tasks that run, and by those that were cancelled while they ran."""
    return _slots


def slots_of(scorer_ref: str) -> int:
    """How many slots the tasks of a scorer hold."""
    return _slots_of[scorer_ref]


def of_scorer(project_id: str, scorer_ref: str) -> int:
    """How many tasks of a scorer in a project are in flight."""
    return _of_scorer[project_id, scorer_ref]


# --- queries -------------------------------------------------------------------------------------


def running_by_request(partition: int) -> dict[str, int]:
    """How many tasks of each request run right now in a partition of this worker."""
    found: Counter[str] = Counter()
    for entry in _entries.values():
        if entry.under_way and entry.task.partition == partition:
            found.update({target.request_id for target in entry.task.targets})
    return dict(found)
