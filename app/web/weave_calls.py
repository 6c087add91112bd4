"""Calls in, on Weave's own paths: `calls/complete`, `call/start`, `call/end` and `call/upsert_batch`.

Unknown fields are kept, as the SDK sends what its servers do not know yet. Errors are `{"reason"}`.
"""

import time
from dataclasses import dataclass
from typing import Any, Literal
from uuid import uuid4

from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from app import ids, topics
from app.events import CallLogged
from app.slices import Turns
from app.structs import MAX_DEPTH, is_deep
from app.web import log_writes
from app.web.auth import USER, check_write
from app.web.bodies import decode_printable
from app.web.errors import ApiError, problem
from app.web.responses import json_response
from tables.calls import MAX_CALL_BYTES, encode

Part = Literal["start", "end", "complete"]
_SHOWN = 20  # mistakes that an answer names


class _Call(BaseModel):
    """What is asked of a call; the fields that scorers rely on have the types that they rely on."""

    model_config = ConfigDict(extra="allow", strict=True)

    id: str
    project_id: str
    op_name: str | None = None
    inputs: dict[str, Any] | None = None
    attributes: dict[str, Any] | None = None
    summary: dict[str, Any] | None = None
    exception: str | None = None


@dataclass(slots=True)
class _Refused:
    status: int
    reason: str


async def complete_calls(request: web.Request) -> web.Response:
    """`{"batch": [call, …]}` → `{}`."""
    items = [(item, "complete") for item in _list(await _read(request), "batch")]
    await _log(request, items, _project(request))
    return json_response({})


async def start_call(request: web.Request) -> web.Response:
    """`{"start": {…}}` → its ids."""
    start = with_ids(_object(await _read(request), "start"))
    await _log(request, [(start, "start")], _project(request))
    return json_response(_ids(start))


async def end_call(request: web.Request) -> web.Response:
    """`{"end": {…}}` → `{}`."""
    end = _object(await _read(request), "end")
    await _log(request, [(end, "end")], _project(request))
    return json_response({})


async def upsert_calls(request: web.Request) -> web.Response:
    """`{"batch": [{"mode": "start" | "end", "req": {mode: {…}}}, …]}` → `{"res": [ids or {}, …]}`."""
    items: list[tuple[Any, Part]] = []
    for number, item in enumerate(_list(await _read(request), "batch")):
        mode = item.get("mode") if isinstance(item, dict) else None
        if mode not in ("start", "end"):
            raise _bad(f"batch[{number}]: mode must be 'start' or 'end'")
        part = _object(item.get("req"), mode, f"batch[{number}].req")
        items.append((with_ids(part), "start") if mode == "start" else (part, "end"))
    await _log(request, items, None)
    return json_response({"res": [_ids(call) if part == "start" else {} for call, part in items]})


async def _log(request: web.Request, items: list[tuple[Any, Any]], project_id: str | None) -> None:
    """Append the calls; return once all are durable.

    Raises:
        ApiError: 422 or 413 that names the calls that were refused, after the others have become durable; 400 or 403,
            and nothing is kept, if a call belongs elsewhere; 503 if the log cannot take them.
    """
    turns = Turns()
    for item, _ in items:
        _check_place(request, item, project_id)
        await turns.breathe()
    user, now = request[USER].name, time.time()
    records, refused = [], []
    for number, (item, part) in enumerate(items):
        event = _event(item, part, user, now, number)
        if isinstance(event, _Refused):
            refused.append(event)
        else:
            records.append(event)
        await turns.breathe()
    log_writes.check(topics.calls, {topics.partition_of(key) for key, _ in records})
    written = []
    for key, value in records:
        written.append(log_writes.append(topics.calls, key, value))
        await turns.breathe()
    await log_writes.durable(written)
    if refused:
        reasons = "; ".join(item.reason for item in refused[:_SHOWN])
        more = f"; and {len(refused) - _SHOWN} more" if len(refused) > _SHOWN else ""
        kept = f" ({len(written)} of {len(items)} calls were kept)" if len(items) > 1 else ""
        status = 422 if any(item.status == 422 for item in refused) else 413
        raise problem(status, ["body"], f"{reasons}{more}{kept}", "call_refused")


def _check_place(request: web.Request, item: Any, project_id: str | None) -> None:
    given = item.get("project_id") if isinstance(item, dict) else None
    if not isinstance(given, str):
        return  # said when the call itself is looked at
    if project_id is not None and given != project_id:
        raise problem(400, ["body"], f"project_id {given!a} is not {project_id!a}, as the path says", "project")
    check_write(request, given, "body")


def _event(item: Any, part: Part, user: str | None, now: float, number: int) -> tuple[bytes, bytes] | _Refused:
    try:
        call = _Call.model_validate(item)
        ids.check_id(call.id)
        ids.check_id(call.project_id)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, (f"batch[{number}]", *first["loc"])))
        return _Refused(422, f"{where}: {first['msg']}")
    except ids.BadId as error:
        return _Refused(422, f"batch[{number}]: an id {error}")
    logged = {name: value for name, value in item.items() if name != "wb_user_id"}
    if user is not None:
        logged["wb_user_id"] = user
    event = CallLogged(project_id=call.project_id, call_id=call.id, part=part, call=logged, logged_at=now)
    try:
        value = event.encode()
        if value.count(b"{") + value.count(b"[") > MAX_DEPTH and is_deep(logged):
            raise TypeError
        size = len(value) if len(value) <= MAX_CALL_BYTES else len(encode(logged))
    except TypeError:
        return _Refused(422, f"batch[{number}]: call {call.id!a} is nested too deeply")
    if size > MAX_CALL_BYTES:
        return _Refused(413, f"call {call.id!a} has {size} bytes, more than {MAX_CALL_BYTES}")
    return ids.call_key(call.project_id, call.id), value


async def _read(request: web.Request) -> Any:
    raw = await request.read()
    if request.content_type != "application/json":
        raise _bad("the body must be application/json")
    try:
        return decode_printable(raw)
    except ApiError:
        raise _bad("the body is not valid JSON") from None


def _project(request: web.Request) -> str:
    return f"{request.match_info['entity']}/{request.match_info['project']}"


def _object(body: Any, name: str, where: str = "body") -> dict[str, Any]:
    found = body.get(name) if isinstance(body, dict) else None
    if not isinstance(found, dict):
        raise _bad(f"{where} must be an object with an object {name!r}")
    return found


def _list(body: Any, name: str) -> list[Any]:
    found = body.get(name) if isinstance(body, dict) else None
    if not isinstance(found, list):
        raise _bad(f"the body must be an object with a list {name!r}")
    return found


def with_ids(start: dict[str, Any]) -> dict[str, Any]:
    """A start always has its ids; those that the client left out are made here."""
    made = {name: start.get(name) or str(uuid4()) for name in ("id", "trace_id")}
    return {**start, **made}


def _ids(start: dict[str, Any]) -> dict[str, Any]:
    return {"id": start["id"], "trace_id": start["trace_id"]}


def _bad(reason: str) -> ApiError:
    return problem(422, ["body"], reason, "invalid")
