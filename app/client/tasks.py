"""The tasks of score requests: how many are in each state, why they failed, and what they wait for."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote

from app.client.http import Client
from app.client.text import clean, number, plural, rate, seconds

Task = dict[str, Any]  # an item of GET /score-requests/{id}/tasks

TERMINAL = ("succeeded", "failed", "cancelled")
WAITING = ("paused", "retrying", "waiting_for_call")
MOST = 10_000  # of a request and state that are fetched
_REASONS = 3  # shown, the most frequent first
_CALLS = 5  # shown of those that are missing
_NAMES = {"waiting_for_call": "waiting for call or code"}
_AWAITED = {
    "scorer_version_unavailable": "the code of their scorer, which no worker has loaded (if it was edited, restart the "
    "service and submit again, since a request keeps the version that it named; otherwise check CALLSCORE_SCORERS)"
}


def request_path(request_id: str) -> str:
    """The path of a request."""
    return f"/score-requests/{quote(request_id, safe='')}"


async def tasks_in(client: Client, request: dict[str, Any], state: str) -> list[Task]:
    """The tasks of a request in a state, the first 10,000 of them."""
    if not request["tasks"][state]:
        return []
    path = f"{request_path(request['request_id'])}/tasks"
    return [task async for task in client.items(path, {"status": state}, MOST)]


def total(requests: Iterable[dict[str, Any]]) -> Counter[str]:
    """The task counts of several requests, added up."""
    tasks: Counter[str] = Counter()
    for request in requests:
        tasks.update(request["tasks"])
    return tasks


def share(tasks: dict[str, Any]) -> str:
    """How many of the tasks have ended, in percent."""
    done = sum(int(tasks[state]) for state in TERMINAL)
    return f"{100 * done // tasks['total'] if tasks['total'] else 100} %"


def name_of(state: str) -> str:
    """A state of tasks in readable form."""
    return _NAMES.get(state, state)


def summary(requests: Sequence[dict[str, Any]], elapsed: float) -> str:
    """One line: task counts by state, how many were reused, the elapsed time, and the rate of the others."""
    tasks = total(requests)
    states = [name for name in tasks if name not in ("total", "reused") and tasks[name]]
    counts = ", ".join(f"{number(tasks[state])} {name_of(state)}" for state in states) or "nothing to do"
    reused = f" ({number(tasks['reused'])} reused)" if tasks["reused"] else ""
    run = tasks["total"] - tasks["reused"]
    fast = f", {rate(run / elapsed)}" if run and elapsed > 0 else ""
    return f"{plural(tasks['total'], 'task')}: {counts}{reused} in {seconds(elapsed)}{fast}"


def words(tasks: Counter[str], ended: int, elapsed: float) -> str:
    """The progress of tasks, of which `ended` have ended in `elapsed` seconds, and what delays them."""
    parts = [f"{number(sum(tasks[state] for state in TERMINAL))} of {plural(tasks['total'], 'task')}"]
    if ended:  # else the rate is unknown
        parts.append(rate(ended / max(elapsed, 1e-6)))
    for state, text in (
        ("failed", "failed"),
        ("paused", "paused"),
        ("waiting_for_call", "waiting for their call or code"),
    ):
        if tasks[state]:
            parts.append(f"{number(tasks[state])} {text}")
    return ", ".join(parts)


async def waits(client: Client, request: dict[str, Any]) -> list[str]:
    """What tasks of a request wait for: a paused scorer, the next attempt, a call, a scorer's code."""
    return [line for state in WAITING for line in await waits_in(client, request, state)]


async def waits_in(client: Client, request: dict[str, Any], state: str) -> list[str]:
    """What its tasks in one of these states wait for."""
    top, others, rest = _by_reason(await tasks_in(client, request, state), request["tasks"][state])
    lines = [_wait(state, reason, tasks) for reason, tasks in top]
    return [*lines, f"{rest}; next attempt {_soonest(others)}" if others else rest] if rest else lines


def _wait(state: str, reason: str, tasks: Sequence[Task]) -> str:
    count, soonest = plural(len(tasks), "task"), _soonest(tasks)
    if state != "waiting_for_call":
        return f"{count} {state}: {reason}; next attempt {soonest}"
    wait = "waits" if len(tasks) == 1 else "wait"
    return f"{count} {wait} for {_AWAITED.get(reason) or _missing(tasks)}, until {soonest}"


def _missing(tasks: Sequence[Task]) -> str:
    """The calls that tasks wait for, the first few by id: one may be a typing error."""
    ids = list(dict.fromkeys(str(task["call_id"]) for task in tasks))
    some = ", ".join(clean(call_id, 100) for call_id in ids[:_CALLS]) + (", …" if len(ids) > _CALLS else "")
    return f"{'a call that is' if len(ids) == 1 else f'{number(len(ids))} calls that are'} not logged yet ({some})"


def _soonest(tasks: Iterable[Task]) -> str:
    return min((str(task["next_at"]) for task in tasks if task["next_at"]), default="soon")


async def reasons(client: Client, requests: Sequence[dict[str, Any]], failed: str = "") -> list[str]:
    """The most frequent reasons why tasks failed, with their counts; `failed` follows each count."""
    found = [task for request in requests for task in await tasks_in(client, request, "failed")]
    top, _, rest = _by_reason(found, total(requests)["failed"])
    lines = [f"{number(len(tasks))}{failed}: {reason}" for reason, tasks in top]
    return [*lines, rest] if rest else lines


def _by_reason(found: Sequence[Task], count: int) -> tuple[list[tuple[str, list[Task]]], list[Task], str]:
    """The most frequent reasons with their tasks, the tasks with other reasons, and a line about those.

    `found` are the first of `count` tasks.
    """
    by_reason: defaultdict[str, list[Task]] = defaultdict(list)
    for task in found:
        by_reason[_reason(task.get("reason"))].append(task)
    ordered = sorted(by_reason.items(), key=lambda item: -len(item[1]))
    others = [task for _, tasks in ordered[_REASONS:] for task in tasks]
    if len(found) >= MOST and count > len(found):
        return ordered[:_REASONS], others, f"and {number(count - len(found) + len(others))} with these or other reasons"
    return ordered[:_REASONS], others, f"and {number(len(others))} with other reasons" if others else ""


def _reason(reason: Any) -> str:
    if isinstance(reason, dict):
        reason = ": ".join(str(reason[part]) for part in ("type", "message") if reason.get(part))
    return clean(str(reason or "no reason given"), 200)
