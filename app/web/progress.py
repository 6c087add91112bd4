"""The state of a request, computed from the counts of its partitions."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal, get_args

from app import cluster, topics
from app.events import RequestAccepted
from app.usage import Usage, total_usage
from app.web.costs import cost
from app.web.responses import timestamp
from tables import pauses, request_progress, rules
from tables.request_progress import Cursor

_END_OF_TIME = 253_402_300_000.0  # the last year that a timestamp can have is 9999
TaskState = Literal["queued", "waiting_for_call", "running", "retrying", "paused", "succeeded", "failed", "cancelled"]
TASK_STATES: tuple[TaskState, ...] = get_args(TaskState)


async def describe_all(headers: list[RequestAccepted], now: float) -> list[dict[str, Any]]:
    """The requests with these headers, in the shape of `describe`."""
    request_ids = [header.request_id for header in headers]
    states: dict[str, dict[str, int]] = {request_id: {} for request_id in request_ids}
    held: dict[str, dict[str, int]] = {request_id: {} for request_id in request_ids}
    paused = _paused(headers)
    finished_at = dict.fromkeys(request_ids, 0.0)
    running = dict.fromkeys(request_ids, 0)
    spent: dict[str, Usage | None] = dict.fromkeys(request_ids)
    cursors: list[Cursor | None] = [(0, None)] * topics.partitions() if request_ids else []
    while any(cursor is not None for cursor in cursors):
        counts = await cluster.everywhere(request_progress.count, request_ids, cursors, paused)
        for count in counts.values():
            for total, part in ((states, count["states"]), (held, count["held"])):
                for request_id, counted in part.items():
                    for state, number in counted.items():
                        total[request_id][state] = total[request_id].get(state, 0) + number
            for request_id, at in count["finished_at"].items():
                finished_at[request_id] = max(finished_at[request_id], at)
            for request_id, more in count["spent"].items():
                spent[request_id] = total_usage(spent[request_id], Usage(**more))
            for request_id, number in count["running"].items():
                running[request_id] += number
        cursors = [
            counts[partition]["next"] if partition in counts else None for partition in range(topics.partitions())
        ]
    headers = await _with_calls(headers)  # last, so that no more tasks have ended than there are
    return [
        describe(
            header,
            hold_back(states[request_id], held[request_id], header.calls * len(paused.get(request_id, ()))),
            finished_at[request_id],
            running[request_id],
            now,
        )
        | {"cost": cost(spent[request_id])}
        for header, request_id in zip(headers, request_ids, strict=True)
    ]


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
        `rate` is how many tasks ran per second since the request, to three
        digits; null if none did. `eta` is when it will be finished at that rate; null if it is finished, or if that is
        unknown, as while tasks are paused or wait for their call.
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
        "finished_at": None if ended is None else timestamp(ended),
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
