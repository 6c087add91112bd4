"""Pulling calls that were logged to Weave: those that have ended and that callscore does not have are logged there.

What callscore has is the only record of what was pulled, so a pull can be interrupted and repeated.
"""

import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from app.client.batches import MAX_BATCH_BYTES, path_of, send
from app.client.errors import CommandError
from app.client.http import Client
from app.client.weave.counts import Counts
from app.client.weave.service import Weave, dump

_PATH = "/calls/stream_query"
_PAGE = 1_000  # ids
_WHOLE = 100  # calls that are fetched at once
_LATE = 3_600.0
_DAY = 86_400.0
FIRST = 1.0
"""The earliest end. Some versions of Weave show a call that runs as one that ended at 0."""

_FIELDS = (
    "id", "op_name", "display_name", "trace_id", "parent_id", "thread_id", "turn_id", "started_at", "ended_at",
    "attributes", "inputs", "exception", "wb_run_id", "wb_run_step", "wb_run_step_end",
)  # fmt: skip


class Listed(NamedTuple):
    """A call, and when it ended, in Unix seconds; 0 if it has not."""

    id: str
    at: float


class Pull:
    """Pulls the calls of one project, in passes.

    A complete pass compares all calls with those that callscore has. The passes in between look only at the calls that
    ended since an hour before the pass before, since calls arrive at Weave some time after they end. One that arrives
    later than that is found by the next complete pass: the first one, and one a day.
    """

    def __init__(
        self, client: Client, weave: Weave, project: str, since: float = FIRST, expand: Sequence[str] = (),
        page: int = _PAGE,
    ) -> None:  # fmt: skip
        self.counts = Counts()
        self._client = client
        self._weave = weave
        self._project = project
        self._since = since
        self._expand = expand
        self._page = page
        self._complete_at = 0.0
        self._newest = since  # where the next pass in between begins
        self._known: set[str] = set()  # the calls since then that were dealt with

    async def run(self) -> None:
        """One pass. Raises CommandError; what was not pulled is in the next pass."""
        began = time.time()
        complete = began >= self._complete_at + _DAY
        held = Held(self._client, self._project) if complete else None
        known: set[str] = set()
        async for page in self._ended(self._since if complete else self._newest):
            missing = []
            for call in page:
                if call.at >= began - _LATE:
                    known.add(call.id)
                if call.id not in self._known and (held is None or not await held.has(call.id)):
                    missing.append(call.id)
            for start in range(0, len(missing), _WHOLE):
                known -= await self._pull(missing[start : start + _WHOLE])
        self._known, self._newest = known, max(self._since, began - _LATE)
        if complete:
            self._complete_at = began

    async def _ended(self, since: float) -> AsyncIterator[list[Listed]]:
        """The calls that ended then or later, in pages, by id: times may be equal, and a call may end meanwhile."""
        last = ""
        while found := await self._weave.lines(_PATH, dump(ids_query(self._project, since, last, self._page)), listed):
            page = {call.id: call for call in found}  # Weave may return a call twice, for some time after it ends
            if list(page) != sorted(page) or min(page) <= last:
                raise CommandError(f"The Weave at {self._weave.url} does not sort calls by id.")
            last = found[-1].id
            yield [call for call in page.values() if call.at]

    async def _pull(self, ids: list[str]) -> set[str]:
        """Pull these calls; returns those that Weave does not return, although it listed them: for the next pass."""
        query = whole_query(self._project, ids, self._expand)
        found = dict(await self._weave.lines(_PATH, dump(query), lambda call: call_of(call, self._project)))
        for part in _parts(list(found.items())):
            refused = await send(self._client.post, path_of(self._project), part)
            self.counts.add(len(part), refused)
        return set(ids) - found.keys()


class Held:
    """The calls that callscore has, read once, in the order of their ids."""

    def __init__(self, client: Client, project: str) -> None:
        self._items = client.items("/calls", {"project_id": project, "ids_only": "true"})
        self._next: str | None = ""

    async def has(self, call_id: str) -> bool:
        """Whether it has this call. Ids must be asked for in ascending order."""
        while self._next is not None and self._next < call_id:
            item = await anext(self._items, None)
            self._next = None if item is None else item["id"]
        return self._next == call_id


def ids_query(project: str, since: float, after: str, limit: int) -> dict[str, Any]:
    """A query for the ids of calls that have ended."""
    ended = {"$gte": [{"$getField": "ended_at"}, {"$literal": since}]}
    behind = {"$gt": [{"$getField": "id"}, {"$literal": after}]}
    return {
        "project_id": project,
        "query": {"$expr": {"$and": [ended, behind]}},
        "sort_by": [{"field": "id", "direction": "asc"}],
        "limit": limit,
        "columns": ["id", "ended_at"],
    }


def whole_query(project: str, ids: Sequence[str], expand: Sequence[str]) -> dict[str, Any]:
    """A query for whole calls, with the values of the refs in the columns `expand`."""
    query = {"project_id": project, "filter": {"call_ids": list(ids)}}
    return {**query, "expand_columns": list(expand)} if expand else query


def call_of(found: Mapping[str, Any], project: str) -> tuple[str, bytes] | None:
    """A call of Weave as it is logged here; None if it has not ended. Without what Weave computes, which may change."""
    found_at = listed(found)
    if found_at is None or not found_at.at:
        return None
    call = {name: found[name] for name in _FIELDS if found.get(name) is not None}
    summary = {name: value for name, value in (found.get("summary") or {}).items() if name != "weave"}
    call |= {"project_id": project, "output": found.get("output"), "summary": summary}
    return found_at.id, dump(call)


def listed(found: Mapping[str, Any]) -> Listed | None:
    """A line of Weave's answer; None if it is no call."""
    call_id, ended = found.get("id"), found.get("ended_at")
    if not isinstance(call_id, str):
        return None
    try:
        moment = datetime.fromisoformat(ended or "")
    except ValueError:
        return Listed(call_id, 0.0)
    at = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return Listed(call_id, at if at >= FIRST else 0.0)


def _parts(calls: list[tuple[str, bytes]]) -> Iterator[list[tuple[str, bytes]]]:
    """Batches of a size that callscore takes."""
    part: list[tuple[str, bytes]] = []
    size = 0
    for call in calls:
        if part and size + len(call[1]) > MAX_BATCH_BYTES:
            yield part
            part, size = [], 0
        part.append(call)
        size += len(call[1]) + 1
    if part:
        yield part
