"""Score requests: submitting calls for scoring, and watching until every task is terminal."""

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

Task = dict[str, Any]  # as GET /score-requests/{id}/tasks has it

MAX_IDS = 100_000
MAX_ID_BYTES = 24 << 20  # the service takes bodies of up to 32 MiB
TERMINAL = ("succeeded", "failed", "cancelled")
_LOOKED_AT = 10_000  # tasks of a request in a state, of which it is told why they are
_REASONS = 3  # that are told, of those the most frequent
_NAMES = {"waiting_for_call": "waiting for call or code"}


async def call_ids(client: Client, project: str) -> list[str]:
    """The ids of all calls of a project."""
    params = {"project_id": project}
    try:
        return [call["id"] async for call in client.items("/calls", {**params, "ids_only": "true"})]
    except Refused as error:
        if error.status != 422 or "ids_only" not in error.reason:
            raise
        return [call["id"] async for call in client.items("/calls", params)]  # a service of before


async def gaps(client: Client, project: str, refs: Sequence[str]) -> list[tuple[list[str], list[str]]]:
    """What to submit to score exactly the gaps of each of these scorers: the calls and the scorers of requests."""
    work: list[tuple[list[str], list[str]]] = []
    for ref in refs:
        params = {"project_id": project, "scorer_ref": ref}
        missing = [gap["call_id"] async for gap in client.items("/scores/gaps", params)]
        work += [(part, [ref]) for part in parts(missing)]
    return work


def parts(ids: Sequence[str]) -> list[list[str]]:
    """`ids` without repetitions, cut into lists that each fit into one request."""
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
    """Ask for scores of these calls; the id of the request, which is durable then."""
    body = orjson.dumps({"project_id": project, "call_ids": ids, "scorer_refs": refs})
    # The key makes it safe to post again when an answer got lost.
    headers = {"Prefer": "return=representation", "Idempotency-Key": uuid.uuid4().hex}
    if rescore is not None:
        headers["Callscore-Rescore"] = rescore
    receipt = await client.post("/calls/score", body, headers)
    return str(receipt["request_id"])


async def find(client: Client, request_id: str) -> dict[str, Any]:
    """A request as it stands."""
    return await client.get(_path(request_id))


async def cancel(client: Client, request_id: str) -> None:
    """Withdraw what has not ended of a request; one that is cancelled already stays so."""
    try:
        await client.post(f"{_path(request_id)}/cancel", b"{}")
    except Refused as error:
        if error.status != 409 or (await find(client, request_id))["status"] != "cancelled":
            raise
        note("It is cancelled already, so nothing is withdrawn.")


async def retry(client: Client, request_id: str, scorers: Sequence[str] = (), errors: Sequence[str] = ()) -> None:
    """Try again what failed or was cancelled of a request: only by these scorers, refs or names, and only these errors.

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
    """A line if nothing is there that is to be tried again, or nothing that failed with one of these errors."""
    states = ("failed",) if errors else ("failed", "cancelled")
    looked_at = [await _tasks(client, request, state) for state in states]
    if any(len(tasks) == _LOOKED_AT for tasks in looked_at):
        return []  # there may be others
    ended = [task for tasks in looked_at for task in tasks if refs is None or task["scorer_ref"] in refs]
    whose = "it" if refs is None else "what these scorers were asked for"
    if not ended:
        return [f"Nothing of {whose} has failed{'' if errors else ' or was cancelled'}, so nothing is tried again."]
    failed = {str(task["reason"]) for task in ended}
    unknown = ", ".join(repr(clean(error)) for error in sorted(errors - failed))
    nothing = "" if errors & failed else ", so nothing is tried again"
    there_are = clean(", ".join(sorted(failed)), 200)
    return [f"None of {whose} failed with {unknown}{nothing}; there are: {there_are}"] if unknown else []


def _named(refs: Sequence[str], scorer: str) -> list[str]:
    found = [ref for ref in refs if scorer in (ref, ref.rpartition(":")[0].rpartition("/")[2])]
    if not found:
        raise BadInput(f"The request has no scorer {clean(scorer)!r}; see which it has with: callscore status")
    return found


_AWAITED = {
    "scorer_version_unavailable": "the code of their scorer, which no worker has loaded (see CALLSCORE_SCORERS; "
    "after an edit, restart)"
}


def _path(request_id: str) -> str:
    return f"/score-requests/{quote(request_id, safe='')}"


async def watch(client: Client, request_ids: Sequence[str]) -> list[dict[str, Any]]:
    """Show progress until every request is finished; the requests as they ended."""
    latest: dict[str, dict[str, Any]] = {}
    started, done_before = time.monotonic(), None
    told: set[tuple[str, str]] = set()  # of which requests it was said what tasks in which state wait for
    with bar("Scoring") as shown:
        async for request in _progress(client, request_ids):
            latest[request["request_id"]] = request
            tasks = total(latest.values())
            done = sum(tasks[state] for state in TERMINAL)
            done_before = done if done_before is None else done_before
            shown.show(done, tasks["total"], words(tasks, done - done_before, time.monotonic() - started))
            for state in _WAITING:
                if (request["request_id"], state) not in told and (lines := await _waits(client, request, state)):
                    told.add((request["request_id"], state))
                    for line in lines:
                        note(f"{line}.")
    return [latest[request_id] for request_id in request_ids]


def words(tasks: Counter[str], ended: int, elapsed: float) -> str:
    """How far the work is, of which so many tasks have ended in this time, and what is in its way."""
    parts = [f"{number(sum(tasks[state] for state in TERMINAL))} of {plural(tasks['total'], 'task')}"]
    if ended:  # else nobody can tell yet
        parts.append(rate(ended / max(elapsed, 1e-6)))
    for state, said in (
        ("failed", "failed"),
        ("paused", "paused"),
        ("waiting_for_call", "waiting for their call or code"),
    ):
        if tasks[state]:
            parts.append(f"{number(tasks[state])} {said}")
    return ", ".join(parts)


async def _progress(client: Client, request_ids: Sequence[str]) -> AsyncIterator[dict[str, Any]]:
    """Every request whenever it has changed, until all are finished."""
    news: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

    async def follow(request_id: str) -> None:
        try:
            async for request in client.events(f"{_path(request_id)}/events"):
                news.put_nowait(request)
                if request["status"] != "running":
                    return
        finally:
            news.put_nowait(None)

    following = [asyncio.create_task(follow(request_id)) for request_id in request_ids]
    try:
        ended = 0
        while ended < len(following):
            request = await news.get()
            if request is not None:
                yield request
                continue
            ended += 1
            for task in following:
                if task.done():
                    task.result()  # what went wrong is raised here
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
    """One line: how many tasks ended how, how many needed no run, how long it took, and how fast the others were."""
    tasks = total(requests)
    states = [name for name in tasks if name not in ("total", "reused") and tasks[name]]
    counts = ", ".join(f"{number(tasks[state])} {name_of(state)}" for state in states) or "nothing to do"
    reused = f" ({number(tasks['reused'])} reused)" if tasks["reused"] else ""
    run = tasks["total"] - tasks["reused"]
    fast = f", {rate(run / elapsed)}" if run and elapsed > 0 else ""
    return f"{plural(tasks['total'], 'task')}: {counts}{reused} in {seconds(elapsed)}{fast}"


def name_of(state: str) -> str:
    """A state of tasks, for people."""
    return _NAMES.get(state, state)


_WAITING = ("paused", "retrying", "waiting_for_call")


async def waits(client: Client, request: dict[str, Any]) -> list[str]:
    """For what tasks of a request wait: a paused scorer, the next attempt, a call, a scorer's code."""
    return [line for state in _WAITING for line in await _waits(client, request, state)]


async def _waits(client: Client, request: dict[str, Any], state: str) -> list[str]:
    told, others, rest = _by_reason(await _tasks(client, request, state), request["tasks"][state])
    lines = [_wait(state, reason, tasks) for reason, tasks in told]
    return [*lines, f"{rest}; next try {_soonest(others)}" if others else rest] if rest else lines


def _wait(state: str, reason: str, tasks: Sequence[Task]) -> str:
    count, soonest = plural(len(tasks), "task"), _soonest(tasks)
    if state != "waiting_for_call":
        return f"{count} {state}: {reason}; next try {soonest}"
    wait = "waits" if len(tasks) == 1 else "wait"
    return f"{count} {wait} for {_AWAITED.get(reason, 'a call that is not logged')}, until {soonest}"


def _soonest(tasks: Iterable[Task]) -> str:
    return min((str(task["next_at"]) for task in tasks if task["next_at"]), default="soon")


async def reasons(client: Client, requests: Sequence[dict[str, Any]], failed: str = "") -> list[str]:
    """The most frequent reasons why tasks failed and how many of each, which are called `failed`."""
    found = [task for request in requests for task in await _tasks(client, request, "failed")]
    told, _, rest = _by_reason(found, total(requests)["failed"])
    lines = [f"{number(len(tasks))}{failed}: {reason}" for reason, tasks in told]
    return [*lines, rest] if rest else lines


def _by_reason(found: Sequence[Task], count: int) -> tuple[list[tuple[str, list[Task]]], list[Task], str]:
    """The most frequent reasons of tasks, each with its tasks; the tasks of all others; and a line about these.

    Of the `count` tasks that there are, those that were `found` were looked at.
    """
    by_reason: defaultdict[str, list[Task]] = defaultdict(list)
    for task in found:
        by_reason[_reason(task.get("reason"))].append(task)
    ordered = sorted(by_reason.items(), key=lambda item: -len(item[1]))
    others = [task for _, tasks in ordered[_REASONS:] for task in tasks]
    if len(found) >= _LOOKED_AT and count > len(found):
        return ordered[:_REASONS], others, f"and {number(count - len(found) + len(others))} of these or other reasons"
    return ordered[:_REASONS], others, f"and {number(len(others))} of other reasons" if others else ""


async def _tasks(client: Client, request: dict[str, Any], state: str) -> list[Task]:
    """The tasks of a request in a state, the first 10,000 of them."""
    if not request["tasks"][state]:
        return []
    path = f"{_path(request['request_id'])}/tasks"
    return [task async for task in client.items(path, {"status": state}, _LOOKED_AT)]


def _reason(reason: Any) -> str:
    if isinstance(reason, dict):
        reason = ": ".join(str(reason[part]) for part in ("type", "message") if reason.get(part))
    return clean(str(reason or "no reason given"), 200)
