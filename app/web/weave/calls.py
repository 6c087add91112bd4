"""Calls in, on Weave's own paths: `calls/complete`, `call/start`, `call/end` and `call/upsert_batch`.

Unknown fields are kept, since the SDK sends fields that its servers do not know yet. Errors are `{"reason"}`.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar
from uuid import uuid4

import msgspec
from aiohttp import web
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError
from pydantic_core import PydanticCustomError

from app import ids, topics
from app.events import CallLogged
from app.slices import Turns
from app.structs import MAX_DEPTH, is_deep
from app.web import log_writes
from app.web.auth import USER, check_write
from app.web.bodies import Sent, count_containers, decode, says_json
from app.web.errors import ApiError, problem
from app.web.responses import json_response
from app.web.weave.bodies import bad_request, first_mistake
from tables.calls import MAX_CALL_BYTES, encode

Part = Literal["start", "end", "complete"]
T = TypeVar("T")
Made = TypeVar("Made")

MAX_BATCH = 10_000
_SHOWN = 20  # mistakes that an answer reports


def _check_time(text: str) -> str:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise PydanticCustomError("time", "Input should be a time such as 2026-01-31T12:00:00Z") from None
    return text


Time = Annotated[str, AfterValidator(_check_time)]


class LoggedCall(BaseModel):
    """A call in Weave's shape; other fields are kept as they are."""

    model_config = ConfigDict(extra="allow", strict=True)

    id: str
    project_id: str
    trace_id: str | None = None
    parent_id: str | None = None
    thread_id: str | None = None
    turn_id: str | None = None
    op_name: str | None = None
    started_at: Time | None = None
    ended_at: Time | None = None
    inputs: dict[str, Any] | None = None
    attributes: dict[str, Any] | None = None
    summary: dict[str, Any] | None = None
    exception: str | None = None


class _Batch(msgspec.Struct):
    """A body whose calls are decoded one by one, since all of them at once could take gigabytes."""

    batch: list[msgspec.Raw]


_split = msgspec.json.Decoder(_Batch).decode

Item = tuple[str, Sent, Part]  # its place in the body, the call, and which part of the call it is


@dataclass(slots=True)
class _Refused:
    status: int
    reason: str


@dataclass(slots=True)
class _Refusals:
    """The refused calls of a batch: the first ones are named, the others counted."""

    reasons: list[str] = field(default_factory=list)
    count: int = 0
    status: int = 413  # unless one of them is invalid

    def add(self, refused: _Refused) -> None:
        self.count += 1
        if refused.status == 422:
            self.status = 422
        if len(self.reasons) < _SHOWN:
            self.reasons.append(refused.reason)


async def complete_calls(request: web.Request) -> web.Response:
    """`{"batch": [call, …]}` → `{}`."""
    batch = await _read_batch(request)
    items: Iterator[Item] = ((f"batch[{number}]", call, "complete") for number, call in enumerate(_each(batch)))
    await _log(request, items, len(batch), _project(request))
    return json_response({})


async def start_call(request: web.Request) -> web.Response:
    """`{"start": {…}}` → its ids."""
    start = _with_ids(_object(_valid(Sent.decode, await _read(request)), "start"))
    await _log(request, [("start", start, "start")], 1, _project(request))
    return json_response(_ids(start))


async def end_call(request: web.Request) -> web.Response:
    """`{"end": {…}}` → `{}`."""
    end = _object(_valid(Sent.decode, await _read(request)), "end")
    await _log(request, [("end", end, "end")], 1, _project(request))
    return json_response({})


async def upsert_calls(request: web.Request) -> web.Response:
    """`{"batch": [{"mode": "start" | "end", "req": {mode: {…}}}, …]}` → `{"res": [ids or {}, …]}`."""
    batch = await _read_batch(request)
    answers: list[dict[str, Any]] = []

    def items() -> Iterator[Item]:
        for number, item in enumerate(_each(batch)):
            mode = item.member("mode").kept
            if mode not in ("start", "end"):
                raise bad_request(f"batch[{number}]: mode must be 'start' or 'end'", 422)
            call = _object(item.member("req"), mode, f"batch[{number}].req")
            if mode == "start":
                call = _with_ids(call)
            answers.append(_ids(call) if mode == "start" else {})
            yield f"batch[{number}]", call, mode

    await _log(request, items(), len(batch), None)
    return json_response({"res": answers})


async def _log(request: web.Request, items: Iterable[Item], count: int, project_id: str | None) -> None:
    """Append the calls; return once all are durable.

    Raises:
        ApiError: 422 or 413 that names the refused calls, once the others are durable; 400 or 403, and nothing is kept,
            if a call is of another project; 503 if the log cannot take them.
    """
    turns = Turns()
    user, now = request[USER].name, time.time()
    records, refused = [], _Refusals()
    for where, call, part in items:
        _check_place(request, call.given, project_id)
        event = _event(call, part, user, now, where)
        if isinstance(event, _Refused):
            refused.add(event)
        else:
            records.append(event)
        await turns.breathe()
    await log_writes.write(topics.calls, records)
    if refused.count:
        more = f"; and {refused.count - _SHOWN} more" if refused.count > _SHOWN else ""
        kept = f" ({len(records)} of {count} calls were kept)" if count > 1 else ""
        raise problem(refused.status, ["body"], f"{'; '.join(refused.reasons)}{more}{kept}", "call_refused")


def _check_place(request: web.Request, item: Any, project_id: str | None) -> None:
    given = item.get("project_id") if isinstance(item, dict) else None
    if not isinstance(given, str):
        return  # reported when the call itself is validated
    if project_id is not None and given != project_id:
        raise problem(400, ["body"], f"project_id {given!a} is not {project_id!a}, as the path says", "project")
    check_write(request, given, ("body",))


def _event(sent: Sent, part: Part, user: str | None, now: float, where: str) -> tuple[bytes, bytes] | _Refused:
    try:
        call = LoggedCall.model_validate(sent.kept)
        for name in ("id", "project_id"):  # as sent, since `printable` could make two ids the same
            ids.check_id(sent.given[name])
    except ValidationError as error:
        return _Refused(422, first_mistake(error, where)["msg"])
    except ids.BadId as error:
        return _Refused(422, f"{where}: an id {error}")
    logged = {name: value for name, value in sent.kept.items() if name != "wb_user_id"}
    if user is not None:
        logged["wb_user_id"] = user
    event = CallLogged(project_id=call.project_id, call_id=call.id, part=part, call=logged, logged_at=now)
    try:
        value = event.encode()
        if value.count(b"{") + value.count(b"[") > MAX_DEPTH and is_deep(logged):
            raise TypeError
        size = len(value) if len(value) <= MAX_CALL_BYTES else len(encode(logged))
    except TypeError:
        return _Refused(422, f"{where}: call {call.id!a} is nested too deeply")
    if size > MAX_CALL_BYTES:
        return _Refused(413, f"call {call.id!a} has {size} bytes, more than {MAX_CALL_BYTES}")
    return ids.call_key(call.project_id, call.id), value


async def _read(request: web.Request) -> bytes:
    raw = await request.read()
    if not says_json(request.headers.get("Content-Type", "")):
        raise bad_request("the body must be application/json", 422)
    return raw


async def _read_batch(request: web.Request) -> list[Any]:
    """The calls of a body, each as `msgspec.Raw`, or decoded if only Python's parser accepts the body.

    Raises:
        ApiError: 413, there are too many, or as `count_containers`; Weave's SDK then sends them in halves. 422, there
            is no list of calls.
    """
    raw = await _read(request)
    try:
        batch: object = _split(raw).batch
    except msgspec.ValidationError:
        batch = None
    except (msgspec.DecodeError, RecursionError):
        count_containers(raw)
        body = _valid(decode, raw)
        batch = body.get("batch") if isinstance(body, dict) else None
    if not isinstance(batch, list):
        raise bad_request("the body must be an object with a list 'batch'", 422)
    if len(batch) > MAX_BATCH:
        message = f"the batch has {len(batch)} calls, more than {MAX_BATCH}; nothing was kept, send them in parts"
        raise problem(413, ["body"], message, "batch_too_large")
    return batch


def _each(batch: list[Any]) -> Iterator[Sent]:
    for item in batch:
        yield _valid(Sent.decode, bytes(item)) if isinstance(item, msgspec.Raw) else _valid(Sent.of, item)


def _valid(make: Callable[[T], Made], source: T) -> Made:
    try:
        return make(source)
    except ApiError as error:
        if error.status == 413:
            raise
        raise bad_request("the body is not valid JSON", 422) from None


def _project(request: web.Request) -> str:
    return f"{request.match_info['entity']}/{request.match_info['project']}"


def _object(body: Sent, name: str, where: str = "body") -> Sent:
    found = body.member(name)
    if not isinstance(found.kept, dict):
        raise bad_request(f"{where} must be an object with an object {name!r}", 422)
    return found


def _with_ids(start: Sent) -> Sent:
    """The start with both ids. Without a trace id it is the root of a trace, so that the same start, sent again, is the
    same call."""
    call_id = start.kept.get("id") or str(uuid4())
    made = {name: call_id for name in ("id", "trace_id") if not start.kept.get(name)}
    return Sent({**start.given, **made}, {**start.kept, **made})


def _ids(start: Sent) -> dict[str, Any]:
    return {"id": start.kept["id"], "trace_id": start.kept["trace_id"]}
