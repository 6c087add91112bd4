"""`POST /score-requests/{id}/cancel` and `/retry`: steering a request that was accepted."""

import asyncio
import time
from typing import Annotated, Any, Literal, Self

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from app import cluster, ids, topics
from app.events import Control, RequestAccepted, RequestCancelled, RequestRetried
from app.web import log_writes, queries
from app.web.auth import USER
from app.web.bodies import read_object, validate
from app.web.errors import problem
from app.web.progress import describe_all
from app.web.requests import find_header
from app.web.responses import json_response
from app.web.submit import MAX_SCORERS
from tables import controls_in_progress

_MOST = 100
_SHOWN = 10
_EFFECT_SECONDS = 10.0  # that an order, which is durable, may take to be carried out before it is answered

Text = Annotated[str, StringConstraints(max_length=2_000)]
ErrorType = Annotated[str, StringConstraints(max_length=250)]  # no task's is longer: see app.events.Error


class RequestRetry(BaseModel):
    """Which tasks to try again; a field that is left out does not restrict them.

    `error_types` goes with the status `failed`, since only failed tasks have an error.
    """

    model_config = ConfigDict(extra="forbid")

    statuses: Annotated[list[Literal["failed", "cancelled"]], Field(max_length=_MOST)] = ["failed", "cancelled"]
    scorer_refs: Annotated[list[Text], Field(max_length=MAX_SCORERS)] | None = None
    error_types: Annotated[list[ErrorType], Field(max_length=_MOST)] | None = None

    @model_validator(mode="after")
    def _only_what_failed_has_an_error(self) -> Self:
        if self.error_types is not None and "failed" not in self.statuses:
            raise ValueError("error_types go with the status failed: what was cancelled has no error")
        return self


async def cancel_request(request: web.Request) -> web.Response:
    """Cancel the tasks that have not ended; answers once the order is durable everywhere, 409 if all have ended."""
    queries.parse(queries.Query, request)
    header, described = await _find(request)
    if described["status"] != "running":
        message = f"The request is {described['status']}, so there is nothing to cancel"
        raise problem(409, ["path", "request_id"], message, f"request_{described['status']}")
    control = RequestCancelled(
        control_id=ids.new_request_id(),
        request_id=header.request_id,
        asked_by=request[USER].name,
        asked_at=time.time(),
    )
    return await _order(control, header, described)


async def retry_request(request: web.Request) -> web.Response:
    """Try failed or cancelled tasks again; answers once the order is durable everywhere."""
    queries.parse(queries.Query, request)
    body = validate(RequestRetry, await read_object(request)) if request.can_read_body else RequestRetry()
    header, described = await _find(request)
    _check_scorers(body, header)
    if not any(described["tasks"][status] for status in body.statuses) and not cluster.unanswered.get():
        return json_response(described)  # nothing to do, or it is under way: the order was sent again
    control = RequestRetried(
        control_id=ids.new_request_id(),
        request_id=header.request_id,
        statuses=list(dict.fromkeys(body.statuses)),
        scorer_refs=_once(body.scorer_refs),
        error_types=_once(body.error_types),
        asked_by=request[USER].name,
        asked_at=time.time(),
    )
    return await _order(control, header, described)


def _once(texts: list[str] | None) -> list[str] | None:
    return None if texts is None else list(dict.fromkeys(texts))


def _check_scorers(body: RequestRetry, header: RequestAccepted) -> None:
    """Refuse refs that the request does not have, which would silently match nothing."""
    known = header.scorer_refs
    for index, ref in enumerate(body.scorer_refs or ()):
        if ref not in known:
            where: list[str | int] = ["body", "scorer_refs", index]
            those = ", ".join(map(ascii, known[:_SHOWN]))
            raise problem(
                422, where, f"{ref!a} is not one of the request's scorers, which are {those}", "scorer_ref_not_found"
            )


async def _find(request: web.Request) -> tuple[RequestAccepted, dict[str, Any]]:
    """The header of the request in the path, and how it stands."""
    header = await find_header(request)
    (described,) = await describe_all([header], time.time())
    return header, described


async def _order(control: Control, header: RequestAccepted, before: dict[str, Any]) -> web.Response:
    """Write a copy of the control to every partition; how the request stands then.

    200 if that shows it; 202, and how it stood before, if it will only be carried out later, since workers are away.
    """
    offsets = await log_writes.everywhere(topics.controls, control.request_id.encode(), control.encode())
    try:
        with cluster.noting() as silent:
            async with asyncio.timeout(_EFFECT_SECONDS):
                cluster.whole(await cluster.everywhere(controls_in_progress.in_effect, control.request_id, offsets))
                (described,) = await describe_all([header], time.time())
    except (TimeoutError, cluster.Unavailable):
        return json_response(before, status=202)
    return json_response(before, status=202) if silent else json_response(described)
