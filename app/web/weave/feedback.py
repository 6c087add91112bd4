"""Weave's feedback: that of people and of their own scorers, and, read-only, the scores of callscore.

Contract: `weave/trace_server/feedback.py` in the wheel of Weave's SDK.
"""

import re
import time
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from functools import partial
from operator import attrgetter
from typing import Annotated, Any, NamedTuple

from aiohttp import web
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app import ids, topics
from app.events import FeedbackGiven, FeedbackPurged
from app.slices import Turns
from app.web import catching_up, log_writes
from app.web.auth import USER, check_read, check_write
from app.web.bodies import AtMost, printable
from app.web.errors import problem
from app.web.paging import everything, everything_of
from app.web.queries import Id
from app.web.responses import encode, json_response, timestamp
from app.web.weave.bodies import Listed, bad_request, read
from app.web.weave.expressions import BadExpression, Condition, at_path, compiled, wanted
from app.web.weave.feedback_rows import RUNNABLE, of_score
from app.web.weave.order import Key, SortBy, Sorting, in_order, key_of
from tables import scores, weave

MAX_BATCH = 1_000
_AT_ONCE = 1_000
_MOST_FOUND, _MOST_BYTES = 10_000, 64 * 1024**2  # in one answer
_SCORED = ("wandb.runnable", "wandb.agent")  # beginnings of the types of what scorers said
_CALL_REF, _OP_REF = re.compile(r"weave:///[^/]+/[^/]+/call/.+"), re.compile("weave:///[^/]+/[^/]+/op/")
_OF_SCORERS = ("tags", "tag_reasons", "tag_confidences", "ratings", "rating_reasons", "rating_confidences")

Row = dict[str, Any]


class Feedback(BaseModel):
    """Feedback in Weave's shape; other fields are kept as they are."""

    model_config = ConfigDict(extra="allow")

    project_id: Id
    weave_ref: Annotated[str, AfterValidator(ids.check_ref)] = Field(
        description="What it is about, such as weave:///entity/project/call/ID."
    )
    feedback_type: Id = Field(description="`wandb.runnable.NAME` for a score.")
    payload: dict[Any, Any]  # str would refuse a key with half an emoji
    id: Id | None = None
    runnable_ref: str | None = None
    call_ref: str | None = None
    trigger_ref: str | None = None
    annotation_ref: str | None = None


class FeedbackBatch(BaseModel):
    batch: Annotated[Listed[Feedback], AtMost(MAX_BATCH)]


class FeedbackQuery(BaseModel):
    project_id: Id
    query: Condition | None = None
    sort_by: Sorting | None = None
    limit: int | None = Field(None, ge=0)
    offset: int | None = Field(None, ge=0)


class FeedbackPurge(BaseModel):
    project_id: Id
    query: Condition


async def create_feedback(request: web.Request) -> web.Response:
    """One feedback → its `id`, `created_at`, `wb_user_id` and `payload`, once it is durable."""
    [made] = await _give(request, [await read(request, Feedback)])
    return json_response(made)


async def create_feedback_batch(request: web.Request) -> web.Response:
    """`{"batch": [feedback, …]}` → `{"res": [as create_feedback, …]}`."""
    return json_response({"res": await _give(request, (await read(request, FeedbackBatch)).batch)})


async def query_feedback(request: web.Request) -> web.Response:
    """Feedback and scores that match a query."""
    asked = await read(request, FeedbackQuery)
    check_read(request, asked.project_id)
    start = asked.offset or 0
    end = None if asked.limit is None else start + asked.limit
    found, total = await _matching(asked.project_id, asked.query, asked.sort_by or (), end)
    return json_response({"result": found[start:end], "total_count": total})


async def purge_feedback(request: web.Request) -> web.Response:
    """Delete the feedback that matches a query. Scores stay, since nobody sent them as feedback."""
    asked = await read(request, FeedbackPurge)
    check_write(request, asked.project_id)
    user, now = request[USER].name, time.time()
    records = []
    for found in (await _matching(asked.project_id, asked.query, scored=False))[0]:
        event = FeedbackPurged(
            project_id=asked.project_id,
            weave_ref=found["weave_ref"],
            feedback_id=found["id"],
            purged_by=user,
            purged_at=now,
        )
        records.append((partitioning_key(asked.project_id, found["weave_ref"]), event.encode()))
    await log_writes.write(topics.weave, records)
    return json_response({})


def partitioning_key(project_id: str, weave_ref: str) -> bytes:
    """The key of feedback: for feedback on a call, that of the call; otherwise project and ref."""
    call_id = ids.call_of_ref(project_id, weave_ref)
    return ids.join_key(project_id, weave_ref) if call_id is None else ids.call_key(project_id, call_id)


async def _give(request: web.Request, batch: list[Feedback]) -> list[dict[str, Any]]:
    """Store all of the batch, or nothing if any of it is refused."""
    user, now = request[USER].name, timestamp(time.time())
    records, made, turns = [], [], Turns()
    for feedback in batch:
        check_write(request, feedback.project_id)
        _check(feedback)
        row = printable({name: value for name, value in feedback.model_dump().items() if value is not None})
        row |= {"id": feedback.id or ids.new_request_id(), "created_at": now, "wb_user_id": user}
        event = FeedbackGiven(
            project_id=feedback.project_id, weave_ref=feedback.weave_ref, feedback_id=row["id"], feedback=row
        )
        value = event.encode()
        if len(value) > 1024**2:
            raise problem(413, ["body", "payload"], "feedback may have at most 1 MiB", "feedback_too_large")
        records.append((partitioning_key(feedback.project_id, feedback.weave_ref), value))
        made.append({name: row[name] for name in ("id", "created_at", "wb_user_id", "payload")})
        await turns.breathe()
    await log_writes.write(topics.weave, records)
    return made


def _check(feedback: Feedback) -> None:
    """Check Weave's own rules for feedback, as far as they apply here. Raises ApiError 400."""
    extra = feedback.model_extra or {}
    of_scorers = next((f"scorer_{name}" for name in _OF_SCORERS if extra.get(f"scorer_{name}")), None)
    if of_scorers and not feedback.feedback_type.startswith(_SCORED):
        raise bad_request(f"{of_scorers} is for feedback of a type {RUNNABLE}… or wandb.agent… only")
    if not feedback.feedback_type.startswith(RUNNABLE):
        if feedback.runnable_ref or feedback.call_ref or feedback.trigger_ref:
            raise bad_request(f"runnable_ref, call_ref and trigger_ref are for feedback of a type {RUNNABLE}… only")
        return
    name = feedback.feedback_type.removeprefix(RUNNABLE)
    if not feedback.runnable_ref or feedback.runnable_ref.rpartition("/")[2].partition(":")[0] != name:
        raise bad_request(f"feedback of type {feedback.feedback_type!a} needs a runnable_ref to what is named {name!a}")
    if feedback.annotation_ref:
        raise bad_request("feedback of a runnable has no annotation_ref")
    if "output" not in feedback.payload:
        raise bad_request("the payload of a runnable's feedback needs an output")
    if feedback.call_ref and not _CALL_REF.fullmatch(feedback.call_ref):
        raise bad_request("call_ref must be the ref of a call, weave:///entity/project/call/ID")
    if not feedback.call_ref and _OP_REF.match(feedback.runnable_ref):
        raise bad_request("feedback of an op needs a call_ref, to the call in which it ran")


def _check_ref(weave_ref: str) -> None:
    try:
        ids.check_ref(weave_ref)
    except ids.BadId as error:
        raise bad_request(f"query: weave_ref {error}", 422) from None


async def _matching(
    project_id: str, query: Condition | None, by: Sequence[SortBy] = (), first: int | None = None, scored: bool = True
) -> tuple[list[Row], int]:
    """The rows that match the query, sorted, at most the `first` so many; and how many match in all.

    Raises ApiError 400 if they are too many for one answer.
    """
    expression = query and query.expression
    try:
        holds = None if expression is None else compiled(expression)
    except BadExpression as error:
        raise bad_request(f"query: {error}") from None
    by = [*by, SortBy(field="created_at")]
    found: list[_Found] = []
    total, size, turns = 0, 0, Turns()
    kind = wanted(expression, "feedback_type")
    scored = scored and (not isinstance(kind, str) or kind.startswith(RUNNABLE))
    async with aclosing(_pages(project_id, wanted(expression, "weave_ref"), scored)) as pages:
        async for page in pages:
            for row in page:
                if holds is None or holds(partial(at_path, row)):
                    found.append(_Found(row, len(encode(row)), key_of(row, by)))
                    total, size = total + 1, size + found[-1].size
                await turns.breathe()
            if first is not None and len(found) > first:
                found = in_order(found, by, _key)[:first]
                size = sum(one.size for one in found)
            if len(found) > _MOST_FOUND or size > _MOST_BYTES:
                raise bad_request(f"these are more than {_MOST_FOUND} items or 64 MiB; ask for fewer, or with a limit")
    return [one.row for one in in_order(found, by, _key)], total


class _Found(NamedTuple):
    row: Row
    size: int
    key: Key


_key = attrgetter("key")


async def _pages(project_id: str, weave_ref: Any, scored: bool) -> AsyncGenerator[Iterable[Row]]:
    """Feedback on a ref, or in the whole project, and scores if `scored`."""
    if isinstance(weave_ref, str):
        _check_ref(weave_ref)
        key, call_id = partitioning_key(project_id, weave_ref), ids.call_of_ref(project_id, weave_ref)
        await catching_up.seen(topics.weave, key)
        given = everything_of(weave.feedback_of, key, _AT_ONCE, project_id, weave_ref)
        of_call: scores.Filters = {"call_id": call_id, "status": "succeeded"}
        shown = everything_of(scores.page, key, _AT_ONCE, project_id, of_call)
        scored = scored and call_id is not None
    else:
        await catching_up.seen_by_all(topics.weave)
        given = everything(weave.feedback_page, _AT_ONCE, project_id)
        shown = everything(scores.page, _AT_ONCE, project_id, {"status": "succeeded"})
    async with aclosing(given), aclosing(shown):
        async for rows in given:
            yield rows
        if scored:
            async for page in shown:
                yield (of_score(project_id, one) for one in page)
