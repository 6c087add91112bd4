"""Query over tables: which calls of a project have no succeeded score of a scorer, and why.

The calls of a project are the logged ones, and those that the scorer has or had a task for.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from heapq import merge
from itertools import groupby
from operator import itemgetter
from time import perf_counter
from typing import Any, Literal, NamedTuple, TypedDict

from app import ids
from app.slices import Turns
from tables import calls, chunks, in_flight, pauses, progress, rules, scores, tasks
from tables.base import Table
from tables.paging import Cursors, Page
from tables.progress import State

Json = dict[str, Any]

Reason = Literal[
    "never_asked",
    "sampled_out",
    "queued",
    "paused",
    "running",
    "waiting_for_call",
    "scorer_version_unavailable",
    "retrying",
    "failed",
    "cancelled",
]

_SLICE_SECONDS = 0.1
_EXPLAINED = 5_000  # gaps at a time, since each time reads all chunks that may name their calls
_BEHIND = b"\x01"  # sorts after all rows of a call and before the next call, since no id has control characters


class _Requested(NamedTuple):
    """A task of a call in a request."""

    state: State
    occasion: str


class _Seen(NamedTuple):
    """What a row shows of a call: whether it counts for the scorer, and whether it has a succeeded score."""

    call_id: str
    counts: bool
    succeeded: bool


class Counts(TypedDict):
    """The counts of one slice, and the call to continue after; None after the last one."""

    calls: int
    reasons: dict[str, int]
    errors: dict[str, int]
    next: str | None


# --- queries -------------------------------------------------------------------------------------


async def page(
    partition: int, after: str | None, rows: int, project_id: str, scorer_ref: str, reason: str | None
) -> Page:
    """Gaps by call id, of one reason (None: of any)."""
    of = _Scorer(partition, project_id, scorer_ref)
    missing, _, behind = await of.missing(after, rows)
    found = [gap for gap in await of.explain(missing) if reason in (None, gap["reason"])]
    return {"items": [(gap["call_id"], gap) for gap in found], "next": behind}


async def count(partition: int, cursors: Cursors, project_id: str, scorer_ref: str) -> Counts:
    """Count calls and gaps by reason, after this partition's cursor."""
    after = cursors[partition]
    if isinstance(after, bool):
        return {"calls": 0, "reasons": {}, "errors": {}, "next": None}
    of = _Scorer(partition, project_id, scorer_ref)
    missing, seen, behind = await of.missing(after, _EXPLAINED)
    found = await of.explain(missing)
    return {
        "calls": seen,
        "reasons": Counter(gap["reason"] for gap in found),
        "errors": Counter(gap["error"]["type"] for gap in found if gap["error"] is not None),
        "next": behind,
    }


class _Scorer:
    """A scorer ref and the calls of a project in one partition."""

    def __init__(self, partition: int, project_id: str, scorer_ref: str) -> None:
        self._partition = partition
        self._project_id = project_id
        self._ref = scorer_ref

    async def missing(self, after: str | None, most: int) -> tuple[list[str], int, str | None]:
        """Calls after `after` without a succeeded score, how many calls were seen, and the call to continue after.

        Ends after `most` of them, or when the time is up.
        """
        found: list[str] = []
        seen = 0
        turns, deadline = Turns(), perf_counter() + _SLICE_SECONDS
        for call_id, counts, succeeded in self._calls(after):
            await turns.breathe()
            seen += counts
            if counts and not succeeded:
                found.append(call_id)
            if len(found) >= most or perf_counter() >= deadline:
                return found, seen, call_id
        return found, seen, None

    async def explain(self, call_ids: list[str]) -> list[Json]:
        """These calls as gaps, each with its reason, without those that have a score by now."""
        asked = await self._asked(call_ids) if call_ids else {}
        turns, found = Turns(), []
        for call_id in call_ids:
            if (gap := self._gap(call_id, asked.get(call_id, []))) is not None:
                found.append(gap)
            await turns.breathe()
        return found

    def _calls(self, after: str | None) -> Iterator[_Seen]:
        """The calls of the project in order, and others that only other scorers have tasks for."""
        prefix = ids.join_key(self._project_id) + ids.SEPARATOR
        behind = None if after is None else prefix + after.encode()
        there = calls.of_project(self._partition, self._project_id, behind)
        logged = (_Seen(ids.split_key(key)[1], True, False) for key, _ in there)
        ended, parked = (self._named(table, prefix, behind) for table in (scores.table, tasks.table))
        for call_id, members in groupby(merge(logged, ended, parked, key=itemgetter(0)), key=itemgetter(0)):
            seen = list(members)
            yield _Seen(call_id, any(one.counts for one in seen), any(one.succeeded for one in seen))

    def _named(self, table: Table, prefix: bytes, behind: bytes | None) -> Iterator[_Seen]:
        """The calls of a table's rows."""
        for key, value in table.scan(self._partition, prefix, None if behind is None else behind + _BEHIND):
            _, call_id, ref, _ = ids.split_key(key)
            counts = ref == self._ref
            succeeded = counts and table is scores.table and scores.decode(value)["status"] == "succeeded"
            yield _Seen(call_id, counts, succeeded)

    def _prefix(self, call_id: str) -> bytes:
        return ids.join_key(self._project_id, call_id, self._ref) + ids.SEPARATOR

    def _scores(self, call_id: str) -> list[tuple[str, Json]]:
        """(occasion, row) of the outcomes of a call."""
        rows = scores.table.scan(self._partition, self._prefix(call_id))
        return [(ids.split_key(key)[3], scores.decode(value)) for key, value in rows]

    async def _asked(self, call_ids: list[str]) -> dict[str, list[_Requested]]:
        """The tasks that requests have of these calls, which are sorted, by call id."""
        wanted, turns = set(call_ids), Turns()
        found: defaultdict[str, list[_Requested]] = defaultdict(list)
        for chunk in chunks.naming(self._partition, self._project_id, self._ref, call_ids[0], call_ids[-1]):
            await turns.breathe()
            if chunk is None or wanted.isdisjoint(chunk.call_ids):
                continue
            states = progress.load(self._partition, chunk.request_id, chunk.chunk, chunk.scorer_refs.index(self._ref))
            for call, call_id in enumerate(chunk.call_ids):
                if call_id in wanted:
                    found[call_id].append(_Requested(states.get(call), chunk.occasion))
        return found

    def _gap(self, call_id: str, asked: list[_Requested]) -> Json | None:
        versions = self._scores(call_id)
        if any(row["status"] == "succeeded" for _, row in versions):
            return None
        gap: Json = {"call_id": call_id, "error": None, "attempts": 0, "since": None, "next_at": None}
        pause = pauses.of(self._project_id, self._ref)
        for key, row in tasks.parked(self._partition, self._prefix(call_id)):
            if (entry := in_flight.get(key)) is not None and entry.under_way:
                return gap | {"reason": "running", "attempts": row.attempts, "since": entry.since}
            error = None if row.error is None else row.error.replace(traceback=None).as_dict()
            waits = gap | {"error": error, "attempts": row.attempts, "since": row.since, "next_at": row.due}
            if row.status != "retrying":
                return waits | {"reason": row.reason}
            return waits | ({"reason": "retrying"} if pause is None else _paused(pause, row.due))
        for occasion in {place.occasion for place in asked}:
            key = ids.task_key(self._project_id, call_id, self._ref, occasion)
            if (entry := in_flight.get(key)) is not None and entry.under_way:
                return gap | {"reason": "running", "since": entry.since}
        if any(place.state is State.QUEUED for place in asked):
            return gap | ({"reason": "queued"} if pause is None else _paused(pause))
        if versions:
            _, ended, _ = scores.newest(versions)
            error = ended.get("error") and {name: ended["error"][name] for name in ("type", "message")}
            why = {"reason": ended["status"], "error": error}
            return gap | why | {"attempts": ended["attempts"], "since": ended["at"]}
        if any(place.state is State.CANCELLED for place in asked):
            return gap | {"reason": "cancelled"}
        # Any other task is on its way from one of these states to another.
        if asked:
            return gap | {"reason": "queued"}
        left_out = rules.sampled_out(self._partition, self._project_id, call_id, self._ref)
        return gap | ({"reason": "never_asked"} if left_out is None else {"reason": "sampled_out", "since": left_out})


def _paused(pause: pauses.Pause, due: float = 0.0) -> Json:
    return {"reason": "paused", "next_at": max(pause.until, due)}
