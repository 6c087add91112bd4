"""Query over tables: the progress of requests, and of each of their tasks, in one partition."""

import re
from collections import Counter
from collections.abc import Iterator
from time import perf_counter
from typing import Any, NamedTuple, TypedDict

from app import cluster, ids
from app.usage import Usage, total_usage
from tables import chunks, controls, in_flight, pauses, progress, scores, tasks
from tables.paging import SLICE_SECONDS, Looked, Page, page_of
from tables.progress import State

Cursor = tuple[int, str | None]  # index into the request ids, and the progress key of that request to continue after

_STATUS = {state: "succeeded" if state is State.REUSED else state.name.lower() for state in State}


class Count(TypedDict):
    """The counts of one slice: by request id the tasks in each `State`, by its name, without queued ones.

    `held` are those among them whose scorer is paused; `spent` is a `Usage`, left out where no provider was asked.
    """

    states: dict[str, dict[str, int]]
    held: dict[str, dict[str, int]]
    finished_at: dict[str, float]
    spent: dict[str, dict[str, int]]
    running: dict[str, int]
    next: Cursor | None


class _Sums(NamedTuple):
    """What the progress rows of a request add up to, up to the key at which counting `stopped`; None: to the last."""

    states: Counter[State]
    held: Counter[State]
    finished_at: float
    spent: Usage | None
    stopped: str | None


def count(partition: int, request_ids: list[str], cursors: list[Cursor | None], paused: dict[str, list[int]]) -> Count:
    """Count the tasks of requests, after this partition's cursor; a partition without a cursor has been counted.

    `paused` has by request id the indices of its paused scorers. Running tasks are counted once, in the first slice.
    """
    found: Count = {"states": {}, "held": {}, "finished_at": {}, "spent": {}, "running": {}, "next": None}
    cursor = cursors[partition]
    if cursor is None:
        return found
    deadline = perf_counter() + SLICE_SECONDS
    first, after = cursor
    if first == 0 and after is None:
        running = in_flight.running_by_request(partition)
        found["running"] = {request_id: running[request_id] for request_id in request_ids if request_id in running}
    for index, request_id in enumerate(request_ids[first:], first):
        sums = _sum(partition, request_id, after, paused.get(request_id, []), deadline)
        after = None
        found["states"][request_id] = {state.name: number for state, number in sums.states.items()}
        found["held"][request_id] = {state.name: number for state, number in sums.held.items()}
        found["finished_at"][request_id] = sums.finished_at
        if sums.spent is not None:
            found["spent"][request_id] = sums.spent.as_dict()
        if sums.stopped is not None:
            found["next"] = (index, sums.stopped)
            break
        if perf_counter() >= deadline and index + 1 < len(request_ids):
            found["next"] = (index + 1, None)
            break
    return found


def _sum(partition: int, request_id: str, after: str | None, paused: list[int], deadline: float) -> _Sums:
    """Add up the progress rows of a request after the key `after`, at least one, until the deadline."""
    states: Counter[State] = Counter()
    held: Counter[State] = Counter()
    finished_at = 0.0
    spent: Usage | None = None
    prefix = request_id.encode() + ids.SEPARATOR
    for key, value in progress.table.scan(partition, prefix, None if after is None else after.encode()):
        row = progress.decode(value)
        counted = row.counts()
        states += counted
        if paused and progress.scorer_of(key) in paused:
            held += counted
        finished_at = max(finished_at, row.finished_at)
        spent = total_usage(spent, row.spent)
        if perf_counter() >= deadline:
            return _Sums(states, held, finished_at, spent, key.decode())
    return _Sums(states, held, finished_at, spent, None)


# --- tasks ---------------------------------------------------------------------------------------


class _Place(NamedTuple):
    """A task's place in its request; places sort by chunk, scorer and call."""

    chunk: int
    scorer: int
    call: int

    def key(self) -> str:
        return f"{self.chunk:08d}.{self.scorer:04d}.{self.call:04d}"


def is_place(key: str) -> bool:
    """Whether a key may be one of `task_page`."""
    return re.fullmatch(r"\d{8,19}\.\d{4,19}\.\d{4,19}", key, re.ASCII) is not None


def task_page(partition: int, after: str | None, rows: int, request_id: str, status: str | None) -> Page:
    """The tasks of a request (only those in `status`, unless None) by their place."""
    return page_of(rows, _tasks(partition, after, request_id, status))


def _tasks(partition: int, after: str | None, request_id: str, status: str | None) -> Iterator[Looked]:
    for at, chunk, row in _places(partition, request_id, None if after is None else _place(after)):
        state = row.get(at.call)
        key = ids.task_key(chunk.project_id, chunk.call_ids[at.call], chunk.scorer_refs[at.scorer], chunk.occasion)
        entry = None if state in progress.TERMINAL else in_flight.get(key)
        shown = _shown(state, entry, pauses.of(chunk.project_id, chunk.scorer_refs[at.scorer]))
        task = _task(partition, at, chunk, shown, key, row, entry) if status in (None, shown) else None
        yield at.key(), task, 0


def _shown(state: State, entry: in_flight.Entry | None, paused: pauses.Pause | None) -> str:
    """The state to show. That a task runs, or that its scorer is paused, is not in the tables."""
    if entry is not None and entry.under_way:
        return "running"
    return "paused" if paused is not None and state in (State.QUEUED, State.RETRYING) else _STATUS[state]


def _place(key: str) -> _Place:
    chunk, scorer, call = key.split(".")
    return _Place(int(chunk), int(scorer), int(call))


def _places(partition: int, request_id: str, after: _Place | None) -> Iterator[tuple[_Place, chunks.Row, progress.Row]]:
    for chunk in chunks.of_request(partition, request_id, after.chunk if after else 0):
        for scorer in range(len(chunk.scorer_refs)):
            begin = _Place(chunk.chunk, scorer, 0)
            if after is not None and after >= begin:
                begin = begin._replace(call=after.call + 1) if after[:2] == begin[:2] else begin
                if after[:2] > begin[:2]:
                    continue
            row = progress.load(partition, request_id, chunk.chunk, scorer)
            for call in range(begin.call, len(chunk.call_ids)):
                yield begin._replace(call=call), chunk, row


def _task(
    partition: int,
    at: _Place,
    chunk: chunks.Row,
    status: str,
    key: bytes,
    row: progress.Row,
    entry: in_flight.Entry | None,
) -> dict[str, Any]:
    call_id, ref = chunk.call_ids[at.call], chunk.scorer_refs[at.scorer]
    task: dict[str, Any] = {
        "task_id": ids.task_id(chunk.project_id, call_id, ref, chunk.occasion),
        "call_id": call_id,
        "scorer_ref": ref,
        "status": status,
        "since": chunk.requested_at,
        "round": 1,
        "attempts": 0,
        "next_at": None,
        "reason": None,
        "worker": cluster.here(),
        "position": None,
    }
    score = scores.load(partition, key)
    if status in ("succeeded", "failed", "cancelled"):
        task |= _ended(partition, score, status) or {"since": row.finished_at or chunk.requested_at}
        return task | ({"reason": "request_cancelled"} if status == "cancelled" else {})
    if score is not None:
        task["round"] = score["round"] + 1
    if row.opened(at.call):
        task["since"] = _reopened_at(partition, chunk)
    parked = tasks.load(partition, key)
    if parked is not None:
        task |= {"round": parked.round, "attempts": parked.attempts, "since": parked.since}
        task["position"] = {"partition": partition, "offset": parked.offset}
        if status != "running":
            task |= {"next_at": parked.due, "reason": parked.reason}
    if status == "running" and entry is not None:
        task["since"] = entry.since
    if status == "paused" and (pause := pauses.of(chunk.project_id, ref)) is not None:
        task |= {
            "since": max(task["since"], pause.since),
            "next_at": max(task["next_at"] or 0.0, pause.until),
            "reason": pause.reason,
        }
    return task


def _reopened_at(partition: int, chunk: chunks.Row) -> float:
    """When the last retry of a request was requested."""
    row = controls.load(partition, chunk.request_id)
    return chunk.requested_at if row is None or not row.retried_at else row.retried_at


def _ended(partition: int, score: scores.Row | None, status: str) -> dict[str, Any] | None:
    """The newest outcome with `status`."""
    if score is None:
        return None
    for ended in reversed(scores.ends(score)):
        if ended["status"] == status:
            return {
                "since": ended["at"],
                "round": ended["round"],
                "attempts": ended["attempts"],
                "reason": ended["error"]["type"] if "error" in ended else None,
                "position": {"partition": partition, "offset": ended["offset"]},
            }
    return None
