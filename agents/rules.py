"""Rules: which of the calls that are logged are to be scored, as requests that no client submits.

What a rule decides about some calls is one record, a chunk of its request of the hour. The record of a call is
acknowledged once all rules that match it have decided, so that a kill forgets none; that a call is decided already is
in tables/rules, so that none is scored or counted twice.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from agents.background import Background
from app import cluster, ids, topics
from app.events import CallLogged, RuleBatch, ScoreRequested
from app.positions import positions
from app.rules import is_sampled, matches
from app.slices import Turns
from tables import calls
from tables import rules as table
from tables.at import At

_LINGER = 1.0  # seconds that a rule waits for more calls, so that calls that trickle in do not make a chunk each
_MOST_CALLS = 500  # in a chunk
_PERIOD = 3600.0  # seconds of logged calls that one request takes


@dataclass(slots=True)
class _Match:
    """A call that a rule means, as the revision in force decided."""

    revision: table.Revision
    call_id: str
    sampled: bool
    opened: float  # since when its request takes calls
    done: Callable[[], None]


class Rules:
    """The rules of one worker's partitions."""

    def __init__(self) -> None:
        self._open: set[int] = set()
        self._early: dict[int, deque[tuple[At, str, str, Callable[[], None]]]] = {}  # with project and call id
        self._pending: dict[tuple[int, str], list[_Match]] = {}  # by partition and rule id
        self._full: dict[tuple[int, str], asyncio.Event] = {}
        self._background = Background("a rule cannot be applied")

    def logged(self, at: At, event: CallLogged, row: calls.Row, done: Callable[[], None]) -> None:
        """Apply the rules to a call whose record made `row`; `done` is called once what they decided is durable."""
        if row["offset"] != at.offset or not _is_whole(event, row):
            done()
        elif at.partition in self._open:
            self._apply(at, row["call"], event.project_id, event.call_id, done)
        else:
            self._early.setdefault(at.partition, deque()).append((at, event.project_id, event.call_id, done))

    async def open(self, partition: int) -> None:
        """Apply rules in an assigned partition, once the tables have all rules and decisions that the log held then.

        Calls that come earlier wait in memory. They are few: records of calls come no faster than those of requests.
        """
        if not await cluster.reach_ends(partition, (topics.controls, topics.score_requests)):
            return
        turns = Turns()
        while early := self._early.get(partition):
            at, project_id, call_id, done = early.popleft()
            row = calls.load(partition, ids.call_key(project_id, call_id))
            assert row is not None, "its row is put before rules are applied"
            self._apply(at, row["call"], project_id, call_id, done)
            await turns.breathe()
        self._open.add(partition)

    def clear(self) -> None:
        """Forget everything: the log delivers again what is owed."""
        self._background.cancel()
        self._open.clear()
        self._early.clear()
        self._pending.clear()
        self._full.clear()
        table.forget()

    def _apply(self, at: At, call: dict[str, Any], project_id: str, call_id: str, done: Callable[[], None]) -> None:
        matched = []
        for rule in table.of_project(at.partition, project_id):
            revision = rule.at(at.logged_at)
            if revision is None or revision.status != "active" or not matches(revision.where, call):
                continue
            if table.decision(at.partition, revision.rule_id, call_id) is None:
                matched.append(revision)
        if not matched:
            done()
            return
        one_done = _after(len(matched), done)
        opened = at.logged_at - at.logged_at % _PERIOD
        for revision in matched:
            sampled = is_sampled(revision.rule_id, call_id, revision.sample_rate)
            self._add(at.partition, _Match(revision, call_id, sampled, opened, one_done))

    def _add(self, partition: int, match: _Match) -> None:
        where = partition, match.revision.rule_id
        pending = self._pending.get(where)
        if pending is None:
            pending = self._pending[where] = []
            self._full[where] = asyncio.Event()
            self._background.spawn(self._write_all(*where))
        pending.append(match)
        if len(pending) >= _MOST_CALLS:
            self._full[where].set()

    async def _write_all(self, partition: int, rule_id: str) -> None:
        """Write what a rule decides in a partition, chunk by chunk, as long as there is more."""
        where = partition, rule_id
        pending, full = self._pending[where], self._full[where]
        while pending:
            if len(pending) < _MOST_CALLS:
                full.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LINGER):
                        await full.wait()
            batch = _first_of_one_request(pending)
            await _write(partition, batch)
            del pending[: len(batch)]
            for match in batch:
                match.done()
        del self._pending[where], self._full[where]


def _is_whole(event: CallLogged, row: calls.Row) -> bool:
    """Whether all of a call is there, so that conditions on its start can be judged."""
    return calls.ended(row) and (event.part == "complete" or "start" in row["parts"])


def _after(number: int, done: Callable[[], None]) -> Callable[[], None]:
    """A function that calls `done` when it is called for the `number`th time."""
    left = number

    def one_done() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            done()

    return one_done


def _first_of_one_request(pending: list[_Match]) -> list[_Match]:
    """The first matches that belong to one chunk: of one revision and hour."""
    first = pending[0]
    batch = []
    for match in pending[:_MOST_CALLS]:
        if (match.revision.control_id, match.opened) != (first.revision.control_id, first.opened):
            break
        batch.append(match)
    return batch


async def _write(partition: int, batch: list[_Match]) -> None:
    """Write a chunk with what was decided, and wait until it is applied.

    A worker that has lost the partition may write one with the same number first: then this one counts for nothing and
    is written again, without what the other has decided.
    """
    revision, opened = batch[0].revision, batch[0].opened
    request_id = ids.digest(revision.control_id, str(opened), str(topics.partitions()))
    while True:
        left = [match for match in batch if table.decision(partition, revision.rule_id, match.call_id) is None]
        if not left:
            return
        known = table.load_request(partition, request_id) or table.Request()
        number = known.chunks * topics.partitions() + partition
        event = ScoreRequested(
            request_id=request_id,
            chunk=number,
            project_id=revision.project_id,
            call_ids=list(dict.fromkeys(match.call_id for match in left if match.sampled)),
            scorer_refs=revision.scorer_refs,
            requested_at=time.time(),
            rule=RuleBatch(
                rule_id=revision.rule_id,
                sampled_out=list(dict.fromkeys(match.call_id for match in left if not match.sampled)),
                open_until=opened + _PERIOD,
            ),
        )
        key = ids.chunk_key(request_id, number)
        written: Any = await topics.score_requests.send(key, event.encode(), partition)
        await positions.reached(topics.score_requests.name, partition, written.offset)


rules = Rules()
