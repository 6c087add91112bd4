"""Calls out, on Weave's own paths: `calls/stream_query`, `calls/query_stats` and `call/read`.

Only calls that have ended are found. An unknown filter is refused: ignoring it would return the wrong calls.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, NamedTuple, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from app import cluster, ids, topics
from app.slices import Turns
from app.web import catching_up
from app.web.auth import check_read
from app.web.errors import ApiError, problem
from app.web.paging import everything
from app.web.queries import Id
from app.web.responses import encode, json_response
from app.web.weave.bodies import Listed, bad_request, read
from app.web.weave.expressions import BadExpression, Condition, Evaluate, Several, at_path, compiled, fields
from app.web.weave.feedback_rows import RUNNABLE, oldest_first
from app.web.weave.order import Sorting, in_order, key_of
from tables import calls_with_feedback
from tables.calls_with_feedback import CallWithFeedback

_AT_ONCE = 500
_FEEDBACK = "feedback.["
_UNKNOWN = ("include_costs", "include_storage_size", "include_total_storage_size")
_NEVER = datetime.fromtimestamp(0, UTC).isoformat()

Call = dict[str, Any]
Item = TypeVar("Item")
_Some = Annotated[Listed[Item], Field(max_length=10_000)] | None


class CallsFilter(BaseModel):
    """Calls must match every field. Weave's other filters are refused."""

    model_config = ConfigDict(extra="allow")

    op_names: _Some[str] = None
    parent_ids: _Some[str] = None
    trace_ids: _Some[str] = None
    call_ids: _Some[Id] = None
    thread_ids: _Some[str] = None
    turn_ids: _Some[str] = None
    wb_user_ids: _Some[str] = None
    wb_run_ids: _Some[str] = None
    trace_roots_only: bool | None = None


_REFUSED = Field(None, description="Not supported: true is refused.")


class CallsQuery(BaseModel):
    project_id: Id
    filter: CallsFilter | None = None
    query: Condition | None = None
    sort_by: Sorting | None = None
    limit: int | None = Field(None, ge=0)
    offset: int | None = Field(None, ge=0)
    expand_columns: Annotated[Listed[str], Field(max_length=100)] | None = Field(
        None, description="Accepted, but fields behind such a ref cannot be used to filter or sort."
    )
    include_feedback: bool | None = Field(None, description="In each call's `summary.weave.feedback`.")
    include_costs: bool | None = _REFUSED
    include_storage_size: bool | None = _REFUSED
    include_total_storage_size: bool | None = _REFUSED


class CallKey(BaseModel):
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
    """The calls that match a query, one per line, sorted by id or by `sort_by`."""
    asked = await _asked(request)
    async with aclosing(_window(_sorted(asked) if asked.query.sort_by else _found(asked), asked.query)) as calls:
        first = await anext(calls, None)  # so that most errors come before the answer begins
        response = web.StreamResponse(headers={"Content-Type": "application/jsonl"})
        await response.prepare(request)
        try:
            if first is not None:
                await response.write(encode(first) + b"\n")
                async for call in calls:
                    await response.write(encode(call) + b"\n")
        except (cluster.Unavailable, ApiError):
            if request.transport is not None:
                request.transport.close()  # so that the part that was sent is not taken for the whole
            return response
    await response.write_eof()
    return response


async def count_calls(request: web.Request) -> web.Response:
    """How many calls match a query."""
    asked = await _asked(request)
    count = 0
    async with aclosing(_window(_found(asked), asked.query)) as calls:
        async for _ in calls:
            count += 1
    return json_response({"count": count})


async def read_call(request: web.Request) -> web.Response:
    """`{"call": …}`, null if it is not there."""
    asked = await read(request, CallKey)
    check_read(request, asked.project_id, "Call")
    key = ids.call_key(asked.project_id, asked.id)
    await catching_up.seen(topics.calls, key)
    found = await cluster.owner(calls_with_feedback.find, key, asked.project_id, asked.id, False)
    return json_response({"call": None if found is None else _shape(found, asked.project_id, False)})


class _Asked(NamedTuple):
    """A query that was checked."""

    query: CallsQuery
    filter: CallsFilter
    holds: Evaluate | None
    with_feedback: bool  # whether it needs the feedback on calls
    is_gone: Callable[[], bool]  # whether nobody waits for the answer any more

    @property
    def project_id(self) -> str:
        return self.query.project_id


async def _asked(request: web.Request) -> _Asked:
    """The query of the body. Raises ApiError 400 for anything unknown: ignoring it would return the wrong calls."""
    query = await read(request, CallsQuery)
    check_read(request, query.project_id)
    filter = query.filter or CallsFilter()
    for name, value in (filter.model_extra or {}).items():
        if value:
            raise bad_request(f"filter.{name} is not known here")
    for name in _UNKNOWN:
        if getattr(query, name):
            raise bad_request(f"{name}: neither costs nor sizes are known here")
    sorted_by = [by.field for by in query.sort_by or ()]
    if any(field.startswith(_FEEDBACK) for field in sorted_by):
        raise bad_request("sort_by: calls cannot be sorted by feedback")
    expression = query.query and query.query.expression
    try:
        holds = None if expression is None else compiled(expression)
    except BadExpression as error:
        raise bad_request(f"query: {error}") from None
    of_feedback = False
    behind_refs = tuple(f"{column}." for column in query.expand_columns or ())
    for field in (*fields(expression), *sorted_by):
        if field.startswith(behind_refs):
            raise bad_request(f"expand_columns: {field} lies behind a ref, where no call can be asked for it")
        if field.startswith(_FEEDBACK):
            of_feedback = True
            if ":latest]" in field:
                raise bad_request(f"query: {field} needs the digest of the version, or the scorer's name alone")
    # A client that queries right after logging calls expects to find them.
    await catching_up.seen_by_all(topics.calls)
    with_feedback = bool(query.include_feedback) or of_feedback
    return _Asked(query, filter, holds, with_feedback, lambda: request.transport is None)


async def _window(calls: AsyncGenerator[Call], query: CallsQuery) -> AsyncGenerator[Call]:
    start, limit = query.offset or 0, query.limit
    number = 0
    async with aclosing(calls):
        if limit == 0:
            return
        async for call in calls:
            number += 1
            if number > start:
                yield call
            if limit is not None and number >= start + limit:
                return


async def _sorted(asked: _Asked) -> AsyncGenerator[Call]:
    """Reads each call twice, so that only sort keys are in memory in between."""
    by = asked.query.sort_by or []
    keys = [(call["id"], key_of(call, by)) async for call in _found(asked)]
    for call_id, _ in in_order(keys, by, lambda item: item[1]):
        found = await _one(asked, call_id)
        if found is not None:
            yield found if asked.query.include_feedback else _without_feedback(found)


async def _found(asked: _Asked) -> AsyncGenerator[Call]:
    turns = Turns()
    async with aclosing(_all(asked) if asked.filter.call_ids is None else _named(asked)) as calls:
        async for call in calls:
            if asked.is_gone():
                return
            if _passes(asked.filter, call) and (asked.holds is None or asked.holds(partial(_field, call))):
                yield call if asked.query.include_feedback else _without_feedback(call)
            await turns.breathe()


async def _named(asked: _Asked) -> AsyncGenerator[Call]:
    turns = Turns()
    for call_id in dict.fromkeys(asked.filter.call_ids or ()):
        found = await _one(asked, call_id)
        if found is not None:
            yield found
        await turns.breathe()


async def _one(asked: _Asked, call_id: str) -> Call | None:
    key = ids.call_key(asked.project_id, call_id)
    found = await cluster.owner(calls_with_feedback.find, key, asked.project_id, call_id, asked.with_feedback)
    return None if found is None else _shape(found, asked.project_id, asked.with_feedback)


async def _all(asked: _Asked) -> AsyncGenerator[Call]:
    async with aclosing(everything(calls_with_feedback.page, _AT_ONCE, asked.project_id, asked.with_feedback)) as pages:
        async for page in pages:
            for one in page:
                yield _shape(one, asked.project_id, asked.with_feedback)


def _passes(filter: CallsFilter, call: Call) -> bool:
    if filter.op_names and not any(_is_op(call.get("op_name"), name) for name in filter.op_names):
        return False
    if filter.trace_roots_only and call.get("parent_id") is not None:
        return False
    wanted = ((getattr(filter, name), call.get(field)) for name, field in _ONE_OF.items())
    return all(not allowed or found in allowed for allowed, found in wanted)


def _is_op(found: Any, name: str) -> bool:
    """Whether a call's op has this name; `…:*` matches every version."""
    if name.endswith(":*"):
        return isinstance(found, str) and found.rpartition(":")[0] == name.removesuffix(":*")
    return bool(found == name)


def _field(call: Call, path: str) -> Any:
    if not path.startswith(_FEEDBACK):
        return at_path(call, path)
    kind, _, rest = path.removeprefix(_FEEDBACK).partition("].")
    of_kind = [row for row in _feedback(call) if kind in ("*", row["feedback_type"], _kind_of_ref(row))]
    found = Several(value for row in of_kind if (value := at_path(row, rest)) not in (None, ""))
    return found if len(found) else ""  # as in Weave, where missing feedback is an empty string


def _kind_of_ref(row: dict[str, Any]) -> str:
    """The feedback type with which the SDK queries a scorer whose ref is not Weave's."""
    return f"{RUNNABLE}{row.get('runnable_ref')}"


def _feedback(call: Call) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = call["summary"]["weave"].get("feedback", [])
    return rows


def _without_feedback(call: Call) -> Call:
    call["summary"]["weave"].pop("feedback", None)
    return call


def _shape(found: CallWithFeedback, project_id: str, with_feedback: bool) -> Call:
    """A call as Weave's SDK needs it, with the fields that were left out when it was logged."""
    call = found["call"]
    if not found["whole"]:
        message = f"call {call['id']!a} has too much feedback to return with it: use /feedback/query with its weave_ref"
        raise problem(413, ["body"], message, "too_much_feedback")
    about: dict[str, Any] = {
        "status": "error" if call.get("exception") else "success",
        "trace_name": _trace_name(call.get("op_name")),
        "latency_ms": _latency_ms(call),
    }
    if with_feedback:
        about["feedback"] = oldest_first(project_id, found["scores"], found["feedback"])
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


def _trace_name(op_name: Any) -> str:
    name = op_name if isinstance(op_name, str) else ""
    return name.rpartition("/")[2].partition(":")[0] if name.startswith("weave:///") else name


def _latency_ms(call: Mapping[str, Any]) -> int | None:
    try:
        started, ended = (datetime.fromisoformat(call[name]) for name in ("started_at", "ended_at"))
        return round((ended - started).total_seconds() * 1000)
    except (KeyError, TypeError, ValueError):
        return None
