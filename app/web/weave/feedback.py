"""Weave's feedback: what people and their own scorers say of a call, and, to be read only, what callscore's say.

Contract: `weave/trace_server/feedback.py` in the wheel of Weave's SDK.
"""

import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from app import cluster, ids, topics
from app.events import FeedbackGiven, FeedbackPurged
from app.slices import Turns
from app.web import log_writes
from app.web.auth import USER, check_read, check_write
from app.web.errors import ApiError, problem
from app.web.paging import collect
from app.web.queries import Id
from app.web.responses import encode, json_response, timestamp
from app.web.weave.bodies import checked_id, read
from app.web.weave.expressions import BadExpression, Query, at_path, compiled, wanted
from app.web.weave.order import SortBy, in_order, key_of
from app.web.weave.said import RUNNABLE, in_time
from tables import scores, weave

MAX_BATCH = 1_000
_AT_ONCE = 1_000
_MOST_FOUND, _MOST_BYTES = 10_000, 64 * 1024**2  # that are answered at once
_SUCCEEDED: scores.Filters = {"status": "succeeded"}


class Feedback(BaseModel):
    """Feedback as it is sent; other fields are kept as they are."""

    model_config = ConfigDict(extra="allow")

    project_id: Id
    weave_ref: Id
    feedback_type: Id
    payload: dict[str, Any]
    id: Id | None = None
    runnable_ref: str | None = None
    call_ref: str | None = None
    trigger_ref: str | None = None
    annotation_ref: str | None = None


class _Batch(BaseModel):
    batch: list[Feedback]


class _Query(BaseModel):
    project_id: Id
    query: Query | None = None
    sort_by: list[SortBy] | None = None
    limit: int | None = Field(None, ge=0)
    offset: int | None = Field(None, ge=0)


class _Purge(BaseModel):
    project_id: Id
    query: Query


async def create_feedback(request: web.Request) -> web.Response:
    """One feedback → its `id`, `created_at`, `wb_user_id` and `payload`, once it is durable."""
    [made] = await _give(request, [await read(request, Feedback)])
    return json_response(made)


async def create_feedback_batch(request: web.Request) -> web.Response:
    """`{"batch": [feedback, …]}` → `{"res": [as for one, …]}`."""
    return json_response({"res": await _give(request, (await read(request, _Batch)).batch)})


async def query_feedback(request: web.Request) -> web.Response:
    """What was said of calls, by scorers and by people, and that the query is true of."""
    asked = await read(request, _Query)
    check_read(request, asked.project_id)
    by = asked.sort_by or []
    found = in_order(await _matching(asked.project_id, asked.query), by, lambda row: key_of(row, by))
    start = asked.offset or 0
    end = len(found) if asked.limit is None else start + asked.limit
    return json_response({"result": found[start:end], "total_count": len(found)})


async def purge_feedback(request: web.Request) -> web.Response:
    """Take back what people have said and the query is true of. Scores stay: they are no feedback that was sent."""
    asked = await read(request, _Purge)
    check_write(request, asked.project_id, "body", "project_id")
    user, now = request[USER].name, time.time()
    records = []
    for found in await _matching(asked.project_id, asked.query, scored=False):
        event = FeedbackPurged(
            project_id=asked.project_id,
            weave_ref=found["weave_ref"],
            feedback_id=found["id"],
            purged_by=user,
            purged_at=now,
        )
        records.append((partitioning_key(asked.project_id, found["weave_ref"]), event.encode()))
    await _append(records)
    return json_response({})


def partitioning_key(project_id: str, weave_ref: str) -> bytes:
    """Feedback on a call lies beside the call, other feedback where its ref says."""
    call_id = ids.call_of_ref(project_id, weave_ref)
    return ids.join_key(project_id, weave_ref) if call_id is None else ids.call_key(project_id, call_id)


async def _give(request: web.Request, batch: list[Feedback]) -> list[dict[str, Any]]:
    """Keep all of them; or none, if one is refused."""
    if len(batch) > MAX_BATCH:
        message = f"the batch has {len(batch)} items, more than {MAX_BATCH}; nothing was kept, send them in parts"
        raise problem(413, ["body"], message, "batch_too_large")
    user, now = request[USER].name, timestamp(time.time())
    records, made, turns = [], [], Turns()
    for feedback in batch:
        check_write(request, feedback.project_id, "body", "project_id")
        _check(feedback)
        row = {name: value for name, value in feedback.model_dump().items() if value is not None}
        row |= {"id": feedback.id or ids.new_request_id(), "created_at": now, "wb_user_id": user}
        event = FeedbackGiven(
            project_id=feedback.project_id, weave_ref=feedback.weave_ref, feedback_id=row["id"], feedback=row
        )
        records.append((partitioning_key(feedback.project_id, feedback.weave_ref), _encoded(event)))
        made.append({name: row[name] for name in ("id", "created_at", "wb_user_id", "payload")})
        await turns.breathe()
    await _append(records)
    return made


async def _append(records: list[tuple[bytes, bytes]]) -> None:
    log_writes.check(topics.weave, {topics.partition_of(key) for key, _ in records})
    await log_writes.durable([log_writes.append(topics.weave, key, value) for key, value in records])


def _check(feedback: Feedback) -> None:
    """Weave's own rules, as far as they are of what is kept here. Raises ApiError 400."""
    if not feedback.feedback_type.startswith(RUNNABLE):
        if feedback.runnable_ref or feedback.call_ref or feedback.trigger_ref:
            raise _bad(f"runnable_ref, call_ref and trigger_ref are for feedback of a type {RUNNABLE}… only")
        return
    name = feedback.feedback_type.removeprefix(RUNNABLE)
    if not feedback.runnable_ref or feedback.runnable_ref.rpartition("/")[2].partition(":")[0] != name:
        raise _bad(f"feedback of type {feedback.feedback_type!a} needs a runnable_ref to what is named {name!a}")
    if feedback.annotation_ref:
        raise _bad("feedback of a runnable has no annotation_ref")
    if "output" not in feedback.payload:
        raise _bad("the payload of a runnable's feedback needs an output")


def _encoded(event: FeedbackGiven) -> bytes:
    try:
        encoded = event.encode()
    except TypeError:
        raise problem(422, ["body", "payload"], "the payload is nested too deeply", "invalid") from None
    if len(encoded) > 1024**2:
        raise problem(413, ["body", "payload"], "feedback may have 1 MiB at most", "feedback_too_large")
    return encoded


async def _matching(project_id: str, query: Query | None, scored: bool = True) -> list[dict[str, Any]]:
    try:
        holds = None if query is None else compiled(query.expression)
    except BadExpression as error:
        raise _bad(f"query: {error}") from None
    rows = await _candidates(project_id, query and wanted(query.expression, "weave_ref"), scored)
    if holds is None:
        return rows
    found, turns = [], Turns()
    for row in rows:
        if holds(partial(at_path, row)):
            found.append(row)
        await turns.breathe()
    return found


async def _candidates(project_id: str, weave_ref: Any, scored: bool) -> list[dict[str, Any]]:
    """What was said of a ref, or in the whole project."""
    if not isinstance(weave_ref, str):
        await log_writes.all_seen_everywhere(topics.weave)
        given = await _everywhere(weave.feedback_page, project_id)
        shown = await _everywhere(scores.page, project_id, _SUCCEEDED) if scored else []
        return in_time(project_id, shown, given)
    checked_id(weave_ref, "weave_ref")
    key, call_id = partitioning_key(project_id, weave_ref), ids.call_of_ref(project_id, weave_ref)
    await log_writes.seen(topics.weave, key)
    given = await _of_owner(key, weave.feedback_of, project_id, weave_ref)
    if call_id is None or not scored:
        return given
    shown = await _of_owner(key, scores.page, project_id, {**_SUCCEEDED, "call_id": call_id})
    return in_time(project_id, shown, given)


async def _everywhere(query: Any, *args: Any) -> list[Any]:
    async def page(after: str | None) -> tuple[list[Any], str | None]:
        with cluster.noting() as silent:
            found = await collect(query, after, _AT_ONCE, False, *args)
        if silent:
            raise cluster.Unavailable("a worker does not answer, or is behind")
        return found

    return await _all(page)


async def _of_owner(key: bytes, query: Any, *args: Any) -> list[Any]:
    async def page(after: str | None) -> tuple[list[Any], str | None]:
        found = await cluster.owner(query, key, after, _AT_ONCE, *args)
        return [item for _, item in found["items"]], found["next"]

    return await _all(page)


async def _all(page: Callable[[str | None], Awaitable[tuple[list[Any], str | None]]]) -> list[Any]:
    """The items of all pages. Raises ApiError 400 if they are too many, or too large, to be answered at once."""
    found: list[Any] = []
    size, turns, after = 0, Turns(), None
    while True:
        items, after = await page(after)
        found += items
        size += sum(len(encode(item)) for item in items)
        if len(found) > _MOST_FOUND or size > _MOST_BYTES:
            raise _bad(f"there is more than {_MOST_FOUND} items or 64 MiB: ask for one weave_ref at a time, by $eq")
        if after is None:
            return found
        await turns.breathe()


def _bad(reason: str) -> ApiError:
    return problem(400, ["body"], reason, "invalid")
