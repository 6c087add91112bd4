"""Weave's feedback: what people and their own scorers say of a call, and, to be read only, what callscore's say.

Contract: `weave/trace_server/feedback.py` in the wheel of Weave's SDK.
"""

import time
from collections.abc import Mapping
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict

from app import cluster, ids, topics
from app.events import FeedbackGiven, FeedbackPurged
from app.web import log_writes
from app.web.auth import USER, check_read, check_write
from app.web.errors import ApiError, problem
from app.web.paging import collect
from app.web.queries import Id
from app.web.responses import json_response, timestamp
from app.web.weave_bodies import read
from app.web.weave_expressions import BadExpression, at_path, holds, wanted
from app.web.weave_order import SortBy, in_order
from app.web.weave_said import RUNNABLE, of_call, of_score
from tables import judged, scores, weave

_MOST_FOUND = 10_000  # in a whole project; of one call, as many as there are


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
    query: dict[str, Any] | None = None
    sort_by: list[SortBy] | None = None
    limit: int | None = None
    offset: int | None = None


class _Purge(BaseModel):
    project_id: Id
    query: dict[str, Any]


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
    found = in_order(await _matching(asked.project_id, asked.query), asked.sort_by or [])
    start = asked.offset or 0
    end = len(found) if asked.limit is None else start + asked.limit
    return json_response({"result": found[start:end], "total_count": len(found)})


async def purge_feedback(request: web.Request) -> web.Response:
    """Take back what people have said and the query is true of. Scores stay: they are no feedback that was sent."""
    asked = await read(request, _Purge)
    check_write(request, asked.project_id, "body", "project_id")
    user, now = request[USER].name, time.time()
    written = []
    for found in await _matching(asked.project_id, asked.query, scored=False):
        event = FeedbackPurged(
            project_id=asked.project_id,
            weave_ref=found["weave_ref"],
            feedback_id=found["id"],
            purged_by=user,
            purged_at=now,
        )
        key = partitioning_key(asked.project_id, found["weave_ref"])
        written.append(log_writes.append(topics.weave, key, event.encode()))
    await log_writes.durable(written)
    return json_response({})


def partitioning_key(project_id: str, weave_ref: str) -> bytes:
    """Feedback on a call lies beside the call, other feedback where its ref says."""
    call_id = ids.call_of_ref(project_id, weave_ref)
    return ids.join_key(project_id, weave_ref) if call_id is None else ids.call_key(project_id, call_id)


async def _give(request: web.Request, batch: list[Feedback]) -> list[dict[str, Any]]:
    """Keep all of them; or none, if one is refused."""
    user, now = request[USER].name, timestamp(time.time())
    records, made = [], []
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
    await log_writes.durable([log_writes.append(topics.weave, key, value) for key, value in records])
    return made


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


async def _matching(project_id: str, query: Mapping[str, Any] | None, scored: bool = True) -> list[dict[str, Any]]:
    expression = None if query is None else query.get("$expr")
    rows = await _candidates(project_id, wanted(expression, "weave_ref"), scored)
    if expression is None:
        return rows
    try:
        return [row for row in rows if holds(expression, lambda path, row=row: at_path(row, path))]  # type: ignore[misc]
    except BadExpression as error:
        raise _bad(f"query: {error}") from None


async def _candidates(project_id: str, weave_ref: Any, scored: bool) -> list[dict[str, Any]]:
    if not isinstance(weave_ref, str):
        return await _all(project_id, scored)
    key, call_id = partitioning_key(project_id, weave_ref), ids.call_of_ref(project_id, weave_ref)
    await log_writes.seen(topics.weave, key)
    if call_id is None:
        return await cluster.owner(weave.feedback_of, key, project_id, weave_ref)
    shown, given = await cluster.owner(judged.said_of, key, project_id, call_id)
    return of_call(project_id, shown if scored else [], given)


async def _all(project_id: str, scored: bool) -> list[dict[str, Any]]:
    """All that was said in a project."""
    await log_writes.all_seen_everywhere(topics.weave)
    rows = await _pages(weave.feedback_page, project_id)
    if scored:
        shown = await _pages(scores.page, project_id, {"status": "succeeded"})
        rows += [of_score(project_id, score) for score in shown]
    return rows


async def _pages(query: Any, *args: Any) -> list[Any]:
    found: list[Any] = []
    after = None
    with cluster.noting() as silent:
        while True:
            items, after = await collect(query, after, 1_000, False, *args)
            found += items
            if silent:
                raise cluster.Unavailable("a worker does not answer, or is behind")
            if len(found) > _MOST_FOUND:
                raise _bad(f"there is more than {_MOST_FOUND}: ask for one weave_ref at a time, by $eq")
            if after is None:
                return found


def _bad(reason: str) -> ApiError:
    return problem(400, ["body"], reason, "invalid")
