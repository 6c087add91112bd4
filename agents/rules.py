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
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from agents.background import Background, Owed
from app import cluster, ids, topics
from app.events import CallLogged, RuleBatch, ScoreRequested
from app.positions import positions
from app.rules import is_sampled, matches
from app.settings import get_settings
from app.slices import Turns
from tables import calls, chunks, controls
from tables import rules as rules_table
from tables.at import At

# Seconds that a rule waits for more calls: the longer the more chunks an hour has, so that calls that trickle in do not
# make a chunk each, of which there would be tens of thousands.
_FIRST_LINGER, _LINGER_PER_CHUNK, _LONGEST_LINGER = 1.0, 0.1, 30.0
_MOST_CALLS = 500  # in a chunk
_PERIOD = 3600.0  # seconds of logged calls that one request takes


@dataclass(slots=True)
class _Match:
    """A call that a rule means, as the revision in force decided."""

    revision: rules_table.Revision
    call_id: str
    sampled: bool
    opened: float  # since when its request takes calls
    done: Callable[[], None]


@dataclass(slots=True)
class _Queue:
    """What a rule has matched in a partition and is not written yet."""

    matches: list[_Match] = field(default_factory=list)
    full: asyncio.Event = field(default_factory=asyncio.Event)  # there are enough for a chunk

    def add(self, match: _Match) -> None:
        self.matches.append(match)
        if len(self.matches) >= _MOST_CALLS:
            self.full.set()


_Early = tuple[At, str, str, Callable[[], None]]  # position of a call, its project and id, and what `logged` was given


class Rules:
    """The rules of one worker's partitions."""

    def __init__(self) -> None:
        self._knows_rules: set[int] = set()
        self._open: set[int] = set()
        self._early: dict[int, deque[_Early]] = {}
        self._queues: dict[tuple[int, str], _Queue] = {}  # by partition and rule id
        self._background = Background("a rule cannot be applied")

    def logged(self, at: At, event: CallLogged, row: calls.Row, done: Callable[[], None]) -> None:
        """Apply the rules to a call whose record made `row`; `done` is called once what they decided is durable."""
        is_judged = row["offset"] == at.offset and _is_whole(event, row)
        if not is_judged or (
            at.partition in self._knows_rules and not rules_table.of_project(at.partition, event.project_id)
        ):
            done()
        elif at.partition in self._open:
            self._apply(at, row["call"], event.project_id, event.call_id, done)
        else:
            self._early.setdefault(at.partition, deque()).append((at, event.project_id, event.call_id, done))

    async def open(self, partition: int) -> None:
        """Apply rules in an assigned partition, once the tables have all rules and decisions that the log held then.

        Calls that come earlier wait in memory; those of projects without rules only until the rules are known, which
        takes few records.
        """
        if not await cluster.reach_ends(partition, [topics.controls]):
            return
        self._knows_rules.add(partition)
        early = self._early.setdefault(partition, deque())
        turns = Turns()
        for _ in range(len(early)):
            at, project_id, call_id, done = early.popleft()
            if rules_table.of_project(partition, project_id):
                early.append((at, project_id, call_id, done))
            else:
                done()
            await turns.breathe()
            if self._early.get(partition) is not early:
                return
        if not await cluster.reach_ends(partition, [topics.score_requests]) or self._early.get(partition) is not early:
            return
        self._open.add(partition)
        self._background.spawn(self._apply_early(partition, early))

    def clear(self) -> None:
        """Forget everything: the log delivers again what is owed."""
        self._background.cancel()
        self._knows_rules.clear()
        self._open.clear()
        self._early.clear()
        self._queues.clear()

    async def _apply_early(self, partition: int, early: "deque[_Early]") -> None:
        turns = Turns()
        while early:
            at, project_id, call_id, done = early.popleft()
            row = calls.load(partition, ids.call_key(project_id, call_id))
            assert row is not None, "its row is put before rules are applied"
            self._apply(at, row["call"], project_id, call_id, done)
            await turns.breathe()

    def _apply(self, at: At, call: dict[str, Any], project_id: str, call_id: str, done: Callable[[], None]) -> None:
        matched = []
        for rule in rules_table.of_project(at.partition, project_id):
            revision = rule.at(at.logged_at)
            if revision is None or revision.status != "active" or not matches(revision.where, call):
                continue
            if rules_table.decision(at.partition, revision.rule_id, call_id) is None:
                matched.append(revision)
        if not matched:
            done()
            return
        owed = Owed(done)
        opened = at.logged_at - at.logged_at % _PERIOD
        matches_of_call = [
            _Match(revision, call_id, is_sampled(revision.rule_id, call_id, revision.sample_rate), opened, owed.one())
            for revision in matched
        ]
        for match in matches_of_call:
            self._add(at.partition, match)

    def _add(self, partition: int, match: _Match) -> None:
        where = partition, match.revision.rule_id
        if where not in self._queues:
            self._queues[where] = _Queue()
            self._background.spawn(self._write_all(*where))
        self._queues[where].add(match)

    async def _write_all(self, partition: int, rule_id: str) -> None:
        """Write what a rule decides in a partition, chunk by chunk, as long as there is more."""
        queue = self._queues[partition, rule_id]
        while queue.matches:
            if len(queue.matches) < _MOST_CALLS:
                queue.full.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(_linger(partition, queue.matches[0])):
                        await queue.full.wait()
            batch = _first_of_one_request(queue.matches)
            await _write(partition, batch)
            del queue.matches[: len(batch)]
            for match in batch:
                match.done()
        del self._queues[partition, rule_id]


def _is_whole(event: CallLogged, row: calls.Row) -> bool:
    """Whether all of a call is there, so that conditions on its start can be judged."""
    return calls.ended(row) and (event.part == "complete" or "start" in row["parts"])


def _first_of_one_request(pending: list[_Match]) -> list[_Match]:
    """The first matches that belong to one chunk: of one revision and hour."""
    first = pending[0]
    batch = []
    for match in pending[:_MOST_CALLS]:
        if (match.revision.control_id, match.opened) != (first.revision.control_id, first.opened):
            break
        batch.append(match)
    return batch


def _linger(partition: int, first: _Match) -> float:
    """Seconds to wait for more calls after the first."""
    known = rules_table.load_request(partition, _request_id(partition, first)) or rules_table.Request()
    # The watchdog takes a partition for stuck whose records are not acknowledged for too long.
    longest = min(_LONGEST_LINGER, get_settings().stuck_after / 4)
    return min(longest, _FIRST_LINGER + _LINGER_PER_CHUNK * known.chunks)


def _request_id(partition: int, match: _Match) -> str:
    """The request of a revision and hour: the first that nobody has cancelled or retried.

    A chunk that came later would be cancelled too, and a retry of some tasks would not take that back.
    """
    parts = match.revision.control_id, str(match.opened), str(topics.partitions())
    numbered = (ids.digest(*parts, str(number)) for number in count())
    return next(request_id for request_id in numbered if controls.load(partition, request_id) is None)


def _next_number(partition: int, request_id: str) -> int:
    """The number of a request's next chunk in a partition, which no other partition gives out."""
    known = rules_table.load_request(partition, request_id) or rules_table.Request()
    return known.chunks * topics.partitions() + partition


async def _write(partition: int, batch: list[_Match]) -> None:
    """Write a chunk with what was decided, and wait until it is applied.

    A worker that has lost the partition may write one with the same number first: then this one counts for nothing and
    is written again, without what the other has decided.
    """
    revision, opened = batch[0].revision, batch[0].opened
    request_id = _request_id(partition, batch[0])
    while True:
        left = [match for match in batch if rules_table.decision(partition, revision.rule_id, match.call_id) is None]
        if not left:
            return
        number = _next_number(partition, request_id)
        event = ScoreRequested(
            request_id=request_id,
            chunk=number,
            project_id=revision.project_id,
            call_ids=list(dict.fromkeys(match.call_id for match in left if match.sampled)),
            scorer_refs=revision.scorer_refs,
            requested_at=time.time(),
            rule=RuleBatch(
                rule_id=revision.rule_id,
                set_at=revision.asked_at,
                sampled_out=list(dict.fromkeys(match.call_id for match in left if not match.sampled)),
                open_until=opened + _PERIOD + 2 * _LONGEST_LINGER,
            ),
        )
        key = ids.chunk_key(request_id, number)
        written: Any = await topics.score_requests.send(key, event.encode(), partition)
        await positions.reached(topics.score_requests.name, partition, written.offset)
        if chunks.load(partition, request_id, number) is None:
            raise RuntimeError(f"chunk {number} of request {request_id} of a rule was not applied")


rules = Rules()
