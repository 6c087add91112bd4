"""Errors as clients see them.

Our own paths and `/calls/score` answer `{"detail": [{"loc", "msg", "type"}]}`, Weave's other paths `{"reason"}`.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypedDict

from aiohttp import web
from pydantic import ValidationError

from app import ids
from app.cluster import Unavailable
from app.web.responses import json_response

logger = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

# Beginnings of Weave's paths, also of those that are not served: the SDK reads {"reason"} in errors there.
_WEAVE_PATHS = (
    "/v2/",
    "/agents/",
    "/aliases",
    "/annotation_queues",
    "/call/",
    "/calls/",
    "/completions/",
    "/cost/",
    "/dataset_sources",
    "/evaluations/",
    "/feedback/",
    "/file/",
    "/files/",
    "/graphql",
    "/obj/",
    "/objs/",
    "/project/",
    "/refs/",
    "/server_info",
    "/service/",
    "/table/",
    "/tags",
    "/threads/",
    "/trace/",
)
_CLIENT_GONE = 499  # sent to nobody: for the metrics, named as in nginx
_RETRY_AFTER_LOG = 2  # seconds; the Weave SDK heeds up to 60


class Detail(TypedDict):
    """One mistake: where it is, a sentence, and a name for it that does not change."""

    loc: list[str | int]
    msg: str
    type: str


class ApiError(Exception):
    """An answer other than success, as a status and its details."""

    def __init__(self, status: int, details: Iterable[Detail], headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.details = list(details)
        self.headers = dict(headers or {})
        super().__init__("; ".join(detail["msg"] for detail in self.details))


def problem(status: int, loc: Iterable[str | int], msg: str, type: str, **headers: str) -> ApiError:
    """An `ApiError` with one detail; in header names `_` stands for `-`."""
    return ApiError(
        status, [detail(loc, msg, type)], {name.replace("_", "-"): value for name, value in headers.items()}
    )


def detail(loc: Iterable[str | int], msg: str, type: str) -> Detail:
    return {"loc": list(loc), "msg": msg, "type": type}


def not_found(what: str, *loc: str) -> ApiError:
    """404, which is also the answer for what belongs to somebody else; `loc` is where it was named."""
    return problem(404, loc or ["path"], f"{what} not found", "not_found")


def unavailable(reason: str, retry_after: int = _RETRY_AFTER_LOG) -> ApiError:
    """503: the same request may succeed after `retry_after` seconds."""
    return problem(503, [], reason, "unavailable", Retry_After=str(retry_after))


def invalid(error: ValidationError, *prefix: str | int) -> ApiError:
    """422 with every error of pydantic's in FastAPI's shape, each `loc` behind `prefix`."""
    errors = error.errors(include_url=False, include_context=False, include_input=False)
    return ApiError(422, [detail([*prefix, *one["loc"]], one["msg"], one["type"]) for one in errors])


def check_id(value: str, subject: str, *loc: str | int) -> str:
    """`value` if it can be an id. Raises ApiError, 422, whose message begins with `subject`."""
    try:
        return ids.check_id(value)
    except ids.BadId as error:
        raise problem(422, loc, f"{subject} {error}", "invalid_id") from None


def is_weave_path(path: str) -> bool:
    """Whether the path is one of Weave's own, whose errors are `{"reason"}`."""
    return path.startswith(_WEAVE_PATHS) and path != "/calls/score"


def error_response(path: str, error: ApiError) -> web.Response:
    """The error in the shape that `path` answers in."""
    body: dict[str, Any] = {"reason": str(error)} if is_weave_path(path) else {"detail": error.details}
    return json_response(body, status=error.status, headers=error.headers)


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn everything that a handler raises into an answer in the right shape. A 500 tells nothing of the inside."""
    try:
        return await handler(request)
    except ApiError as error:
        return error_response(request.path, error)
    except Unavailable as error:
        return error_response(request.path, unavailable(str(error), error.retry_after))
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return error_response(request.path, _from_aiohttp(request, error))
    except ConnectionError:
        return web.Response(status=_CLIENT_GONE)
    except web.RequestPayloadError:
        message = "The body cannot be read: it is not encoded as its headers say"
        return await _answer_and_close(request, problem(400, ["body"], message, "body_unreadable"))
    except Exception:
        logger.exception("%s %s failed", request.method, request.path)
        return error_response(request.path, problem(500, [], "Internal Server Error", "internal_error"))


async def _answer_and_close(request: web.Request, error: ApiError) -> web.Response:
    """Answer, and read no more of a connection on which aiohttp would else go on to read, and log, what is broken."""
    response = error_response(request.path, error)
    response.force_close()
    await response.prepare(request)
    await response.write_eof()
    request.protocol.force_close()
    return response


def _from_aiohttp(request: web.Request, error: web.HTTPException) -> ApiError:
    headers = {name: error.headers[name] for name in ("Allow", "Retry-After") if name in error.headers}
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return problem(413, ["body"], error.text or error.reason, "body_too_large")  # also for too many form fields
    if isinstance(error, web.HTTPNotFound) and is_weave_path(request.path):
        message = f"callscore does not serve {request.path:.100} of Weave's; docs/weave.md says what it serves"
        return problem(404, ["path"], message, "not_served")
    name = error.reason.lower().replace(" ", "_")
    return ApiError(error.status, [detail(["path"], error.reason, name)], headers)
