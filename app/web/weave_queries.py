"""Calls out, on Weave's own paths: `calls/stream_query`, `calls/query_stats` and `call/read`.

A call is there once its end is there, so that a call that runs is not found. A filter that is not known is refused: one
that is passed over would silently not filter.
"""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict

from app import cluster, ids, topics
from app.web import log_writes
from app.web.auth import check_read
from app.web.errors import ApiError, problem
from app.web.paging import collect
from app.web.queries import Id
from app.web.responses import encode, json_response
from app.web.weave_bodies import read
from app.web.weave_expressions import BadExpression, at_path, holds, mentions
from app.web.weave_order import SortBy, in_order_of
from app.web.weave_said import of_call
from tables import judged
from tables.judged import Judged

_AT_ONCE = 500
_FEEDBACK = "feedback.["

Call = dict[str, Any]


class _Filter(BaseModel):
    model_config = ConfigDict(extra="allow")

    op_names: list[str] | None = None
    parent_ids: list[str] | None = None
    trace_ids: list[str] | None = None
    call_ids: list[Id] | None = None
    thread_ids: list[str] | None = None
    turn_ids: list[str] | None = None
    wb_user_ids: list[str] | None = None
    wb_run_ids: list[str] | None = None
    trace_roots_only: bool | None = None


class _Query(BaseModel):
    project_id: Id
    filter: _Filter | None = None
    query: dict[str, Any] | None = None
    sort_by: list[SortBy] | None = None
    limit: int | None = None
    offset: int | None = None
    include_feedback: bool | None = None


class _Reading(BaseModel):
    project_id: Id
    id: Id


_ONE_OF = {
    "parent_ids": "parent_id",
    "trace_ids": "trace_id",
    "thread_ids": "thread_id",
    "turn_ids": "turn_id",
    "wb_user_ids": "wb_user_id",
    "wb_run_ids": "wb_run_id",
}


async def stream_calls(request: web.Request) -> web.StreamResponse:
    """The calls that a query is true of, a line each: by id, or as `sort_by` says."""
    asked = await _asked(request)
    calls = _window(_sorted(asked) if asked.sort_by else _found(asked), asked)
    first = await anext(calls, None)  # what goes wrong, goes wrong before anything is answered
    response = web.StreamResponse(headers={"Content-Type": "application/jsonl"})
    await response.prepare(request)
    try:
        if first is not None:
            await response.write(encode(first) + b"\n")
            async for call in calls:
                await response.write(encode(call) + b"\n")
    except (cluster.Unavailable, ApiError):
        assert request.transport is not None
        request.transport.close()  # what came is a part, and must not be taken for the whole
        return response
    await response.write_eof()
    return response


async def count_calls(request: web.Request) -> web.Response:
    """How many there are."""
    asked = await _asked(request)
    count = 0
    async for _ in _window(_found(asked), asked):
        count += 1
    return json_response({"count": count})


async def read_call(request: web.Request) -> web.Response:
    """`{"call": …}`, null if it is not there."""
    asked = await read(request, _Reading)
    check_read(request, asked.project_id, "Call")
    key = ids.call_key(asked.project_id, asked.id)
    await log_writes.seen(topics.calls, key)
    found = await cluster.owner(judged.find, key, asked.project_id, asked.id, False)
    return json_response({"call": None if found is None else _shape(found, asked.project_id, False)})


async def _asked(request: web.Request) -> _Query:
    asked = await read(request, _Query)
    check_read(request, asked.project_id)
    unknown = [name for name, value in (asked.filter.model_extra or {}).items() if value] if asked.filter else []
    if unknown:
        raise _bad(f"filter.{unknown[0]} is not known here")
    # Who asks for calls right after logging them means those too.
    await log_writes.all_seen_everywhere(topics.calls)
    return asked


async def _window(calls: AsyncIterator[Call], asked: _Query) -> AsyncIterator[Call]:
    start = asked.offset or 0
    number = 0
    if asked.limit is not None and asked.limit <= 0:
        return
    async for call in calls:
        number += 1
        if number > start:
            yield call
        if asked.limit is not None and number >= start + asked.limit:
            return


async def _sorted(asked: _Query) -> AsyncIterator[Call]:
    """Found twice, so that only what calls are sorted by is held meanwhile."""
    by = asked.sort_by or []
    keys = [(call["id"], [at_path(call, field.field) for field in by]) async for call in _found(asked)]
    for call_id, _ in in_order_of(keys, by, lambda item: item[1]):
        found = await _one(asked, call_id)
        if found is not None:
            yield found


async def _found(asked: _Query) -> AsyncIterator[Call]:
    filter, expression = asked.filter or _Filter(), (asked.query or {}).get("$expr")
    source = _all(asked) if filter.call_ids is None else _named(asked, filter.call_ids)
    async for call in source:
        if _passes(filter, call) and (expression is None or _holds(expression, call)):
            yield call if asked.include_feedback else _without_feedback(call)


async def _named(asked: _Query, call_ids: list[str]) -> AsyncIterator[Call]:
    for call_id in dict.fromkeys(call_ids):
        found = await _one(asked, call_id)
        if found is not None:
            yield found


async def _one(asked: _Query, call_id: str) -> Call | None:
    key = ids.call_key(asked.project_id, call_id)
    found = await cluster.owner(judged.find, key, asked.project_id, call_id, _said(asked))
    return None if found is None else _shape(found, asked.project_id, _said(asked))


async def _all(asked: _Query) -> AsyncIterator[Call]:
    after = None
    with cluster.noting() as silent:
        while True:
            found, after = await collect(judged.page, after, _AT_ONCE, False, asked.project_id, _said(asked))
            if silent:
                raise cluster.Unavailable("a worker does not answer, or is behind")
            for one in found:
                yield _shape(one, asked.project_id, _said(asked))
            if after is None:
                return


def _said(asked: _Query) -> bool:
    return bool(asked.include_feedback) or mentions(asked.query, _FEEDBACK)


def _passes(filter: _Filter, call: Call) -> bool:
    if filter.op_names and not any(_is_op(call.get("op_name"), name) for name in filter.op_names):
        return False
    if filter.trace_roots_only and call.get("parent_id") is not None:
        return False
    wanted = ((getattr(filter, name), call.get(field)) for name, field in _ONE_OF.items())
    return all(not allowed or found in allowed for allowed, found in wanted)


def _is_op(found: Any, name: str) -> bool:
    """Whether an op has a name; `…:*` is every version."""
    if name.endswith(":*"):
        return isinstance(found, str) and found.rpartition(":")[0] == name.removesuffix(":*")
    return bool(found == name)


def _holds(expression: Any, call: Call) -> bool:
    try:
        return holds(expression, lambda path: _field(call, path))
    except BadExpression as error:
        raise _bad(f"query: {error}") from None


def _field(call: Call, path: str) -> Any:
    if not path.startswith(_FEEDBACK):
        return at_path(call, path)
    kind, _, rest = path.removeprefix(_FEEDBACK).partition("].")
    of_kind = [row for row in _feedback(call) if kind in ("*", row["feedback_type"])]
    found = at_path(of_kind[-1], rest) if of_kind else None
    return "" if found is None else found  # as Weave has it: what nobody said is an empty text


def _feedback(call: Call) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = call["summary"]["weave"].get("feedback", [])
    return rows


def _without_feedback(call: Call) -> Call:
    call["summary"]["weave"].pop("feedback", None)
    return call


def _shape(found: Judged, project_id: str, said: bool) -> Call:
    """A call as Weave's SDK needs it, also where whoever logged it left fields out."""
    call = found["call"]
    about: dict[str, Any] = {
        "status": "error" if call.get("exception") else "success",
        "trace_name": _trace_name(call.get("op_name")),
        "latency_ms": _latency_ms(call),
    }
    if said:
        about["feedback"] = of_call(project_id, found["scores"], found["feedback"])
    summary = call.get("summary") or {}
    known = summary.get("weave")
    return {
        "trace_id": call["id"],
        "parent_id": None,
        "op_name": "",
        "started_at": call.get("ended_at") or _NEVER,
        "attributes": {},
        "inputs": {},
        "output": None,
        "exception": None,
        **call,
        "summary": {**summary, "weave": {**(known if isinstance(known, Mapping) else {}), **about}},
    }


_NEVER = datetime.fromtimestamp(0, UTC).isoformat()


def _trace_name(op_name: Any) -> str:
    name = op_name if isinstance(op_name, str) else ""
    return name.rpartition("/")[2].partition(":")[0] if name.startswith("weave:///") else name


def _latency_ms(call: Mapping[str, Any]) -> int | None:
    try:
        started, ended = (datetime.fromisoformat(call[name]) for name in ("started_at", "ended_at"))
        return round((ended - started).total_seconds() * 1000)
    except (KeyError, TypeError, ValueError):
        return None


def _bad(reason: str) -> ApiError:
    return problem(400, ["body"], reason, "invalid")
