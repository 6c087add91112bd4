"""Score requests: submitting, watching, cancelling and retrying them."""

import asyncio
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any
from urllib.parse import quote

import orjson

from app.client.errors import BadInput, Refused
from app.client.http import Client
from app.client.output import note
from app.client.progress import bar
from app.client.text import clean, number, plural, rate, seconds

Task = dict[str, Any]  # an item of GET /score-requests/{id}/tasks

MAX_IDS = 100_000
MAX_ID_BYTES = 24 << 20  # the service accepts bodies of up to 32 MiB
TERMINAL = ("succeeded", "failed", "cancelled")
_MOST_TASKS = 10_000  # of a request, whose reasons are counted
_REASONS = 3  # shown, the most frequent first
_NAMES = {"waiting_for_call": "waiting for call or code"}


async def call_ids(client: Client, project: str) -> list[str]:
    """The ids of all calls of a project."""
    return [call["id"] async for call in client.items("/calls", {"project_id": project, "ids_only": "true"})]


async def gaps(client: Client, project: str, refs: Sequence[str]) -> list[tuple[list[str], list[str]]]:
    """The calls and scorers of the requests that score exactly the gaps of these scorers."""
    work: list[tuple[list[str], list[str]]] = []
    for ref in refs:
        params = {"project_id": project, "scorer_ref": ref}
        missing = [gap["call_id"] async for gap in client.items("/scores/gaps", params)]
        work += [(part, [ref]) for part in parts(missing)]
    return work


def parts(ids: Sequence[str]) -> list[list[str]]:
    """`ids` without duplicates, split into lists that each fit into one request."""
    found: list[list[str]] = []
    size = 0
    for call_id in dict.fromkeys(ids):
        length = len(orjson.dumps(call_id)) + 1
        if not found or len(found[-1]) >= MAX_IDS or size + length > MAX_ID_BYTES:
            found.append([])
            size = 0
        found[-1].append(call_id)
        size += length
    return found


async def submit(
    client: Client, project: str, ids: Sequence[str], refs: Sequence[str], rescore: str | None = None
) -> str:
    """Submit these calls for scoring. Returns the id of the request, which is durable."""
    body = orjson.dumps({"project_id": project, "call_ids": ids, "scorer_refs": refs})
    # The key makes it safe to post again when an answer is lost.
    headers = {"Prefer": "return=representation", "Idempotency-Key": uuid.uuid4().hex}
    if rescore is not None:
        headers["Callscore-Rescore"] = rescore
    receipt = await client.post("/calls/score", body, headers)
    return str(receipt["request_id"])


async def find(client: Client, request_id: str) -> dict[str, Any]:
    """The current state of a request."""
    return await client.get(_path(request_id))


async def cancel(client: Client, request_id: str) -> None:
    """Cancel the tasks of a request that have not ended; does nothing if it is already cancelled."""
    try:
        await client.post(f"{_path(request_id)}/cancel", b"{}")
    except Refused as error:
        if error.status != 409 or (await find(client, request_id))["status"] != "cancelled":
            raise
        note("The request is already cancelled.")


async def retry(client: Client, request_id: str, scorers: Sequence[str] = (), errors: Sequence[str] = ()) -> None:
    """Retry the tasks of a request that failed or were cancelled: only by these scorers, and only with these errors.

    Raises:
        BadInput: the request has no such scorer.
    """
    only: dict[str, list[str]] = {"error_types": list(errors)} if errors else {}
    request = await find(client, request_id)
    if scorers:
        only["scorer_refs"] = [ref for scorer in scorers for ref in _named(request["scorer_refs"], scorer)]
    if only or not request["tasks"]["failed"] + request["tasks"]["cancelled"]:
        for line in await _unmatched(client, request, only.get("scorer_refs"), set(errors)):
            note(line)
    await client.post(f"{_path(request_id)}/retry", orjson.dumps(only))


async def _unmatched(
    client: Client, request: dict[str, Any], refs: Sequence[str] | None, errors: set[str]
) -> list[str]:
    """A line if there is nothing to retry, or if no task failed with one of these errors."""
    states = ("failed",) if errors else ("failed", "cancelled")
    tasks_by_state = [await _tasks(client, request, state) for state in states]
    if any(len(tasks) == _MOST_TASKS for tasks in tasks_by_state):
        return []  # not all tasks were looked at
    ended = [task for tasks in tasks_by_state for task in tasks if refs is None or task["scorer_ref"] in refs]
    whose = "No task of the request" if refs is None else "No task of these scorers"
    if not ended:
        return [f"{whose} {'failed' if errors else 'failed or was cancelled'}, so nothing is retried."]
    failed = {str(task["reason"]) for task in ended}
    unknown = ", ".join(repr(clean(error)) for error in sorted(errors - failed))
    nothing = "" if errors & failed else ", so nothing is retried"
    known = clean(", ".join(sorted(failed)), 200)
    return [f"{whose} failed with {unknown}{nothing}. The errors are: {known}"] if unknown else []


def _named(refs: Sequence[str], scorer: str) -> list[str]:
    found = [ref for ref in refs if scorer in (ref, ref.rpartition(":")[0].rpartition("/")[2])]
    if not found:
        raise BadInput(
            f"The request has no scorer {clean(scorer)!r}. List its scorers with: callscore status REQUEST_ID"
        )
    return found


_AWAITED = {
    "scorer_version_unavailable": "the code of their scorer, which no worker has loaded (check CALLSCORE_SCORERS; "
    "restart after an edit)"
}


def _path(request_id: str) -> str:
    return f"/score-requests/{quote(request_id, safe='')}"


async def watch(client: Client, request_ids: Sequence[str]) -> list[dict[str, Any]]:
    """Show progress until every request is finished. Returns the finished requests."""
    latest: dict[str, dict[str, Any]] = {}
    started, done_before = time.monotonic(), None
    noted: set[tuple[str, str]] = set()  # requests and states of tasks whose waits were noted
    with bar("Scoring") as shown:
        async for request in _progress(client, request_ids):
            latest[request["request_id"]] = request
            tasks = total(latest.values())
            done = sum(tasks[state] for state in TERMINAL)
            done_before = done if done_before is None else done_before
            shown.show(done, tasks["total"], words(tasks, done - done_before, time.monotonic() - started))
            for state in _WAITING:
                if (request["request_id"], state) not in noted and (lines := await _waits(client, request, state)):
                    noted.add((request["request_id"], state))
                    for line in lines:
                        note(f"{line}.")
    return [latest[request_id] for request_id in request_ids]


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


async def _progress(client: Client, request_ids: Sequence[str]) -> AsyncIterator[dict[str, Any]]:
    """Each request whenever it changes, until all are finished."""
    changes: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

    async def follow(request_id: str) -> None:
        try:
            async for request in client.events(f"{_path(request_id)}/events"):
                changes.put_nowait(request)
                if request["status"] != "running":
                    return
        finally:
            changes.put_nowait(None)

    following = [asyncio.create_task(follow(request_id)) for request_id in request_ids]
    try:
        ended = 0
        while ended < len(following):
            request = await changes.get()
            if request is not None:
                yield request
                continue
            ended += 1
            for task in following:
                if task.done():
                    task.result()  # raises its error
    finally:
        for task in following:
            task.cancel()


def total(requests: Iterable[dict[str, Any]]) -> Counter[str]:
    """The task counts of several requests, added up."""
    tasks: Counter[str] = Counter()
    for request in requests:
        tasks.update(request["tasks"])
    return tasks


def summary(requests: Sequence[dict[str, Any]], elapsed: float) -> str:
    """One line: task counts by state, how many were reused, the elapsed time, and the rate of the others."""
    tasks = total(requests)
    states = [name for name in tasks if name not in ("total", "reused") and tasks[name]]
    counts = ", ".join(f"{number(tasks[state])} {name_of(state)}" for state in states) or "nothing to do"
    reused = f" ({number(tasks['reused'])} reused)" if tasks["reused"] else ""
    run = tasks["total"] - tasks["reused"]
    fast = f", {rate(run / elapsed)}" if run and elapsed > 0 else ""
    return f"{plural(tasks['total'], 'task')}: {counts}{reused} in {seconds(elapsed)}{fast}"


def name_of(state: str) -> str:
    """A state of tasks in readable form."""
    return _NAMES.get(state, state)


_WAITING = ("paused", "retrying", "waiting_for_call")


async def waits(client: Client, request: dict[str, Any]) -> list[str]:
    """What tasks of a request wait for: a paused scorer, the next attempt, a call, a scorer's code."""
    return [line for state in _WAITING for line in await _waits(client, request, state)]


async def _waits(client: Client, request: dict[str, Any], state: str) -> list[str]:
    top, others, rest = _by_reason(await _tasks(client, request, state), request["tasks"][state])
    lines = [_wait(state, reason, tasks) for reason, tasks in top]
    return [*lines, f"{rest}; next attempt {_soonest(others)}" if others else rest] if rest else lines


def _wait(state: str, reason: str, tasks: Sequence[Task]) -> str:
    count, soonest = plural(len(tasks), "task"), _soonest(tasks)
    if state != "waiting_for_call":
        return f"{count} {state}: {reason}; next attempt {soonest}"
    wait = "waits" if len(tasks) == 1 else "wait"
    return f"{count} {wait} for {_AWAITED.get(reason, 'a call that is not logged yet')}, until {soonest}"


def _soonest(tasks: Iterable[Task]) -> str:
    return min((str(task["next_at"]) for task in tasks if task["next_at"]), default="soon")


async def reasons(client: Client, requests: Sequence[dict[str, Any]], failed: str = "") -> list[str]:
    """The most frequent reasons why tasks failed, with their counts; `failed` follows each count."""
    found = [task for request in requests for task in await _tasks(client, request, "failed")]
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
    if len(found) >= _MOST_TASKS and count > len(found):
        return ordered[:_REASONS], others, f"and {number(count - len(found) + len(others))} with these or other reasons"
    return ordered[:_REASONS], others, f"and {number(len(others))} with other reasons" if others else ""


async def _tasks(client: Client, request: dict[str, Any], state: str) -> list[Task]:
    """The tasks of a request in a state, the first 10,000 of them."""
    if not request["tasks"][state]:
        return []
    path = f"{_path(request['request_id'])}/tasks"
    return [task async for task in client.items(path, {"status": state}, _MOST_TASKS)]


def _reason(reason: Any) -> str:
    if isinstance(reason, dict):
        reason = ": ".join(str(reason[part]) for part in ("type", "message") if reason.get(part))
    return clean(str(reason or "no reason given"), 200)
