"""The state of a request, computed from the counts of its partitions."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from app import cluster, topics
from app.events import RequestAccepted
from app.usage import Usage, total_usage
from app.web.costs import cost
from app.web.responses import timestamp, timestamp_or_none
from tables import pauses, request_progress, rules
from tables.request_progress import Count, Cursor

_END_OF_TIME = 253_402_300_000.0  # the last year that a timestamp can have is 9999
TaskState = Literal["queued", "waiting_for_call", "running", "retrying", "paused", "succeeded", "failed", "cancelled"]
TASK_STATES: tuple[TaskState, ...] = get_args(TaskState)


async def describe_all(headers: list[RequestAccepted], now: float) -> list[dict[str, Any]]:
    """The requests with these headers, in the shape of `describe`, and what each cost."""
    paused = _paused(headers)
    found = await _count([header.request_id for header in headers], paused)
    headers = await _with_calls(headers)  # last, so that no more tasks have ended than there are
    return [_described(header, found[header.request_id], paused.get(header.request_id, []), now) for header in headers]


@dataclass(slots=True)
class _Counted:
    """The tasks of a request, as `tables.request_progress` counts them, in all partitions together."""

    states: Counter[str] = field(default_factory=Counter)
    held: Counter[str] = field(default_factory=Counter)
    finished_at: float = 0.0
    running: int = 0
    spent: Usage | None = None

    def add(self, request_id: str, count: Count) -> None:
        self.states.update(count["states"].get(request_id, {}))
        self.held.update(count["held"].get(request_id, {}))
        self.finished_at = max(self.finished_at, count["finished_at"].get(request_id, 0.0))
        self.running += count["running"].get(request_id, 0)
        if request_id in count["spent"]:
            self.spent = total_usage(self.spent, Usage(**count["spent"][request_id]))


async def _count(request_ids: list[str], paused: dict[str, list[int]]) -> dict[str, _Counted]:
    found = {request_id: _Counted() for request_id in request_ids}
    cursors: list[Cursor | None] = [(0, None)] * topics.partitions() if request_ids else []
    while any(cursor is not None for cursor in cursors):
        counts = await cluster.everywhere(request_progress.count, request_ids, cursors, paused)
        for count in counts.values():
            for request_id in count["states"].keys() | count["running"].keys():
                found[request_id].add(request_id, count)
        cursors = [
            counts[partition]["next"] if partition in counts else None for partition in range(topics.partitions())
        ]
    return found


def _described(header: RequestAccepted, counted: _Counted, paused: list[int], now: float) -> dict[str, Any]:
    states = hold_back(counted.states, counted.held, header.calls * len(paused))
    return describe(header, states, counted.finished_at, counted.running, now) | {"cost": cost(counted.spent)}


async def _with_calls(headers: list[RequestAccepted]) -> list[RequestAccepted]:
    """The headers, those of rules with the calls that they have so far, and whether they take more."""
    of_rules = [header.request_id for header in headers if header.rule_id is not None]
    if not of_rules:
        return headers
    found = await cluster.everywhere(rules.calls_of, of_rules)
    calls, closed = Counter[str](), set[str]()
    for part in found.values():
        for request_id, (number, is_closed) in zip(of_rules, part, strict=True):
            calls[request_id] += number
            if is_closed:
                closed.add(request_id)
    return [
        header
        if header.rule_id is None
        else header.replace(
            calls=calls[header.request_id],
            open_until=None if header.request_id in closed else header.open_until,
        )
        for header in headers
    ]


def _paused(headers: list[RequestAccepted]) -> dict[str, list[int]]:
    """Which scorers of each request are paused, by request id; requests without any are left out."""
    found = {
        header.request_id: [index for index, ref in enumerate(header.scorer_refs) if pauses.of(header.project_id, ref)]
        for header in headers
    }
    return {request_id: scorers for request_id, scorers in found.items() if scorers}


def hold_back(states: Mapping[str, int], held: Mapping[str, int], of_paused: int) -> dict[str, int]:
    """The states of a request's tasks, with tasks that wait for a paused scorer counted as paused.

    `held` has the states of the tasks of paused scorers; there are `of_paused` of these, queued ones included.
    """
    retrying = held.get("RETRYING", 0)
    paused = of_paused - sum(held.values()) + retrying
    found = dict(states)
    if paused:
        found["PAUSED"] = found.get("PAUSED", 0) + paused
        found["RETRYING"] = found.get("RETRYING", 0) - retrying
    return found


def describe(
    header: RequestAccepted, states: Mapping[str, int], finished_at: float, running: int, now: float
) -> dict[str, Any]:
    """A request as clients see it.

    Args:
        states: how many of its tasks are in each `tables.progress.State`, by name; those left out are queued.
        finished_at: when the last task ended, Unix seconds.
        running: how many of its tasks run right now, whatever their stored state.
        now: Unix seconds.

    Returns:
        The shape of `GET /score-requests/{id}`. A rule's request runs until its hour is over, unless it is cancelled.
        `rate` is how many tasks ran per second since the request, to three digits; null if none did. `eta` is when it
        will be finished at that rate; null if it is finished, or if that is unknown, as while tasks are paused or wait
        for their call.
    """
    total = header.calls * len(header.scorer_refs)
    reused = states.get("REUSED", 0)
    tasks = {
        "waiting_for_call": states.get("WAITING_FOR_CALL", 0),
        "running": 0,
        "retrying": states.get("RETRYING", 0),
        "paused": states.get("PAUSED", 0),
        "succeeded": states.get("SUCCEEDED", 0) + reused,
        "failed": states.get("FAILED", 0),
        "cancelled": states.get("CANCELLED", 0),
    }
    total = max(total, sum(tasks.values()))  # of a rule's request, a worker that is away may know some calls
    tasks["queued"] = total - sum(tasks.values())
    for stored in ("queued", "retrying", "waiting_for_call", "paused"):
        moved = max(0, min(running - tasks["running"], tasks[stored]))
        tasks[stored] -= moved
        tasks["running"] += moved
    terminal = tasks["succeeded"] + tasks["failed"] + tasks["cancelled"]
    finished = terminal == total and (header.open_until is None or now >= header.open_until)
    ended = (finished_at if total else header.requested_at) if finished else None
    rate = _rate(terminal - reused - tasks["cancelled"], (now if ended is None else ended) - header.requested_at)
    return {
        "request_id": header.request_id,
        "project_id": header.project_id,
        "status": ("cancelled" if tasks["cancelled"] else "completed") if finished else "running",
        "tasks": {"total": total, **{state: tasks[state] for state in TASK_STATES}, "reused": reused},
        "scorer_refs": header.scorer_refs,
        "rule_id": header.rule_id,
        "requested_by": header.requested_by,
        "requested_at": timestamp(header.requested_at),
        "finished_at": timestamp_or_none(ended),
        "rate": rate,
        # The rate does not say when tasks end that wait for something other than their turn.
        "eta": None if tasks["paused"] or tasks["waiting_for_call"] else _eta(now, total - terminal, rate),
    }


def _rate(done: int, seconds: float) -> float | None:
    return float(f"{done / seconds:.3g}") if done > 0 and seconds > 0 else None


def _eta(now: float, left: int, rate: float | None) -> str | None:
    if not left or not rate:
        return None
    at = now + left / rate
    return timestamp(at) if at < _END_OF_TIME else None
