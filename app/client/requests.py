"""Score requests: submitting, watching, cancelling and retrying them."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson

from app.client.errors import BadInput, Refused
from app.client.http import Client
from app.client.output import note
from app.client.progress import bar
from app.client.tasks import MOST, TERMINAL, WAITING, request_path, tasks_in, total, waits_in, words
from app.client.text import clean

MAX_IDS = 100_000
MAX_ID_BYTES = 24 << 20  # the service accepts bodies of up to 32 MiB


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
    return await client.get(request_path(request_id))


async def cancel(client: Client, request_id: str) -> None:
    """Cancel the tasks of a request that have not ended; does nothing if it is already cancelled."""
    try:
        await client.post(f"{request_path(request_id)}/cancel", b"{}")
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
    await client.post(f"{request_path(request_id)}/retry", orjson.dumps(only))


async def _unmatched(
    client: Client, request: dict[str, Any], refs: Sequence[str] | None, errors: set[str]
) -> list[str]:
    """A line if there is nothing to retry, or if no task failed with one of these errors."""
    states = ("failed",) if errors else ("failed", "cancelled")
    tasks_by_state = [await tasks_in(client, request, state) for state in states]
    if any(len(tasks) == MOST for tasks in tasks_by_state):
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
            for state in WAITING:
                if (request["request_id"], state) not in noted and (lines := await waits_in(client, request, state)):
                    noted.add((request["request_id"], state))
                    for line in lines:
                        note(f"{line}.")
    return [latest[request_id] for request_id in request_ids]


async def _progress(client: Client, request_ids: Sequence[str]) -> AsyncIterator[dict[str, Any]]:
    """Each request whenever it changes, until all are finished."""
    changes: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

    async def follow(request_id: str) -> None:
        try:
            async for request in client.events(f"{request_path(request_id)}/events"):
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
