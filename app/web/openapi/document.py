"""`GET /openapi.json`: the description of every view."""

from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

from app.web.openapi import contract, past, weave
from app.web.openapi.schemas import SCHEMAS, STRING, TIME, Schema, enum, ref
from app.web.paging import DEFAULT_LIMIT, MAX_LIMIT
from app.web.progress import TASK_STATES

_NOTHING: Mapping[str, Any] = {}
_KEYS: list[dict[str, list[str]]] = [{"HTTPBasic": []}, {"HTTPBearer": []}]


def parameter(name: str, schema: Schema = STRING, where: str = "query", required: bool = False) -> dict[str, Any]:
    return {"name": name, "in": where, "required": required, "schema": schema}


_PAGE = (
    parameter("limit", {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}),
    parameter("cursor"),
)
_PROJECT = parameter("project_id", required=True)
_REQUEST = parameter("request_id", where="path", required=True)
_SUBMITTING = (
    "When it is answered, the whole request is durable; it is worked on in the background. The answer is "
    "`{}` with the header `Location: /score-requests/{request_id}`, where its progress is; with "
    "`Prefer: return=representation` its body is the receipt instead, `{request_id, status_url, tasks}`. "
    "The body must be sent with `Content-Type: application/json`. What has a score is reused, not run again, unless "
    "`Callscore-Rescore` names an occasion that it was not scored on yet. The same `Idempotency-Key` with the same "
    "body gives the same receipt, however late; with another body it is refused."
)
_PREFER = parameter("Prefer", enum("return=representation"), "header")
_RESCORE = parameter("Callscore-Rescore", where="header")
_IDEMPOTENCY = parameter("Idempotency-Key", where="header")
_PLACE = (parameter("entity", where="path", required=True), parameter("project", where="path", required=True))


def operation(
    tag: str,
    summary: str,
    answer: str,
    *parameters: dict[str, Any],
    body: str | None = None,
    body_required: bool = True,
    status: int = 200,
    error: str = "HTTPValidationError",
    open: bool = False,
    also: Mapping[str, Any] = _NOTHING,
) -> dict[str, Any]:
    """One operation that answers with the schema `answer`, as `also` says, or with `error` and any other status."""
    described: dict[str, Any] = {
        "tags": [tag],
        "summary": summary,
        "parameters": list(parameters),
        "responses": {
            str(status): {"description": "Successful Response", "content": _json(answer)},
            **also,
            "default": _error(error),
        },
        "security": [] if open else _KEYS,
    }
    if body is not None:
        described["requestBody"] = {"required": body_required, "content": _json(body)}
    return described


def _json(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": ref(name)}}


def _error(name: str = "HTTPValidationError") -> dict[str, Any]:
    return {"description": "Error", "content": _json(name)}


def _page(media_type: str, summary: str, open: bool = True, also: Mapping[str, Any] = _NOTHING) -> dict[str, Any]:
    content = {media_type: {"schema": STRING}}
    return {
        "tags": ["Service"],
        "summary": summary,
        "responses": {"200": {"description": "Successful Response", "content": content}, **also},
        "security": [] if open else _KEYS,
    }


_LATER = {
    "202": {
        "description": "The order is durable, and carried out once all workers are there; the Request as it stood",
        "content": _json("Request"),
    }
}
_AS_OF = parameter("as_of", {**TIME, "description": "What the answer was when the log ended there."})
_SCORE_FILTERS = (
    _PROJECT,
    parameter("call_id"),
    parameter("scorer_ref"),
    parameter("status", enum("succeeded", "failed", "cancelled")),
    parameter("op_name"),
    _AS_OF,
)

PATHS: dict[str, Any] = {
    # Beside the operation, which is the contract's, word for word.
    "/calls/score": {
        "description": _SUBMITTING,
        "parameters": [_PREFER, _IDEMPOTENCY, _RESCORE],
        **contract.CALLS_SCORE,
    },
    "/calls": {
        "get": operation(
            "Calls",
            "Logged calls that have ended",
            "CallPage",
            _PROJECT,
            parameter("call_id"),
            parameter("ids_only", {"type": "boolean", "description": "Of each call only project_id and id."}),
            *_PAGE,
        )
    },
    "/score-requests": {
        "get": operation("Requests", "Requests, newest first", "RequestPage", parameter("project_id"), *_PAGE)
    },
    "/score-requests/{request_id}": {"get": operation("Requests", "One request", "Request", _REQUEST)},
    "/score-requests/{request_id}/tasks": {
        "get": operation(
            "Requests", "Tasks of a request", "TaskPage", _REQUEST, parameter("status", enum(*TASK_STATES)), *_PAGE
        )
    },
    "/score-requests/{request_id}/events": {
        "get": {
            **_page(
                "text/event-stream",
                "Live progress: server-sent events, each a Request; the last one ends it",
                open=False,
                also={"204": {"description": "The last one is known: it was Last-Event-ID"}, "default": _error()},
            ),
            "tags": ["Requests"],
            "parameters": [_REQUEST, parameter("Last-Event-ID", where="header")],
        }
    },
    "/score-requests/{request_id}/cancel": {
        "post": operation("Requests", "Withdraw what has not ended; 409 once all has", "Request", _REQUEST, also=_LATER)
    },
    "/score-requests/{request_id}/retry": {
        "post": operation(
            "Requests",
            "Try again what failed or was cancelled",
            "Request",
            _REQUEST,
            body="RequestRetry",
            body_required=False,
            also=_LATER,
        )
    },
    "/scores": {"get": operation("Scores", "One score per call and scorer", "ScorePage", *_SCORE_FILTERS, *_PAGE)},
    "/scores/gaps": {
        "get": operation(
            "Scores",
            "Calls without a succeeded score of a scorer, and why; scorer_ref may end in :latest",
            "GapPage",
            _PROJECT,
            parameter("scorer_ref", required=True),
            parameter("reason", enum(*past.GAP_REASONS)),
            *_PAGE,
        )
    },
    "/scores/gaps/summary": {
        "get": operation(
            "Scores",
            "How many calls have a score of a scorer, and how many have none, by reason",
            "GapSummary",
            _PROJECT,
            parameter("scorer_ref", required=True),
        )
    },
    "/scores/history": {
        "get": operation(
            "Scores",
            "Every wait, attempt and outcome of one call and scorer, in the order of the log",
            "HistoryPage",
            _PROJECT,
            parameter("call_id", required=True),
            parameter("scorer_ref", required=True),
            *_PAGE,
        )
    },
    "/scores/summary": {
        "get": operation(
            "Scores",
            "Distributions per scorer: group_by is op_name, attributes.<path> or inputs.<path>",
            "Summary",
            _PROJECT,
            parameter("scorer_ref"),
            parameter("op_name"),
            parameter("group_by"),
            _AS_OF,
        )
    },
    "/scorers": {
        "get": operation("Scorers", "Scorers that can be applied", "ScorerPage", parameter("project_id"), *_PAGE),
        "post": operation("Scorers", "Publish a scorer", "Scorer", body="ScorerPublication", status=201),
    },
    "/scorers/costs": {
        "get": operation(
            "Scorers",
            "What each scorer of a project cost, day by day, of the days that began in a window",
            "Costs",
            _PROJECT,
            parameter("since", TIME),
            parameter("until", {**TIME, "description": "Only days that began before then."}),
        )
    },
    "/scorers/kinds": {"get": operation("Scorers", "Kinds of scorers that can be published", "ScorerKindPage")},
    "/scorers/try": {
        "post": operation(
            "Scorers",
            "Run a scorer once on a logged call; nothing is recorded; 409 once it has spent its cap",
            "Trial",
            body="ScorerTrial",
        )
    },
    "/dead-letters": {
        "get": operation(
            "Dead letters",
            "Records that could not be processed, newest first; without project_id for keys of every project",
            "LetterPage",
            parameter("project_id"),
            parameter("topic", enum(*past.LETTER_TOPICS)),
            parameter("reason", enum(*past.LETTER_REASONS)),
            parameter("since", TIME),
            parameter("until", TIME),
            parameter("redriven", {"type": "boolean"}),
            parameter("dismissed", {"type": "boolean", "description": "With both false: what is open."}),
            *_PAGE,
        )
    },
    "/dead-letters/{letter_id}": {
        "get": operation(
            "Dead letters",
            "One dead letter, with key and value of its record",
            "WholeLetter",
            parameter("letter_id", where="path", required=True),
        )
    },
    "/dead-letters/redrive": {
        "post": operation(
            "Dead letters",
            "Try records again, at most 1,000 of the open letters that match; each only once",
            "Redriven",
            body="LetterOrder",
        )
    },
    "/dead-letters/dismiss": {
        "post": operation(
            "Dead letters",
            "Close at most 1,000 of the open letters that match, without trying their records again",
            "Dismissed",
            body="LetterOrder",
        )
    },
    "/breakers": {
        "get": operation("Scorers", "Which scorers are paused, and why; for keys of every project", "BreakerPage")
    },
    "/breakers/{scorer}/close": {
        "post": operation(
            "Scorers",
            "Let a paused scorer (its name or its ref) go on at once; for keys of every project",
            "BreakerPage",
            parameter("scorer", where="path", required=True),
        )
    },
    **weave.paths(operation, _PLACE),
    "/": {"get": _page("text/html", "Dashboard", open=False)},
    "/docs": {"get": _page("text/html", "This description, readable")},
    "/openapi.json": {"get": _page("application/json", "This description")},
    "/healthz": {"get": operation("Service", "Whether the process lives", "Health", error="Health", open=True)},
    "/readyz": {"get": operation("Service", "Whether the tables can answer", "Health", error="Health", open=True)},
    "/metrics": {"get": _page("text/plain", "Metrics for Prometheus")},
}

SPEC: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {
        "title": "callscore",
        "version": "0.1.0",
        "description": "Applies scorers to logged LLM calls. Times are RFC 3339 in UTC.",
    },
    "paths": PATHS,
    "components": {
        "schemas": {**contract.SCHEMAS, **SCHEMAS, **past.SCHEMAS, **weave.SCHEMAS},
        "securitySchemes": contract.SECURITY_SCHEMES,
    },
}
_ENCODED = orjson.dumps(SPEC)


async def openapi(request: web.Request) -> web.Response:
    """The description, OpenAPI 3.1."""
    return web.Response(body=_ENCODED, content_type="application/json")
