"""The parts of an operation in the API description."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from app.web.openapi.models import parameter, parameters_of
from app.web.openapi.schemas import STRING, Schema, ref
from app.web.queries import Query

_NOTHING: Mapping[str, Any] = {}
_KEYS: list[dict[str, list[str]]] = [{"HTTPBasic": []}, {"HTTPBearer": []}]
JSON = "application/json"


def operation(
    tag: str,
    summary: str,
    answer: str,
    *,
    query: type[Query] = Query,
    body: str | None = None,
    body_required: bool = True,
    body_type: str = JSON,
    answer_type: str = JSON,
    status: int = 200,
    error: str = "HTTPValidationError",
    open: bool = False,
    also: Mapping[str, Any] = _NOTHING,
) -> dict[str, Any]:
    """An operation that answers `status` with the schema `answer`, as `also` says, or any other status with `error`."""
    described: dict[str, Any] = {
        "tags": [tag],
        "summary": summary,
        "parameters": parameters_of(query),
        "responses": {
            str(status): {"description": "Successful Response", "content": content(answer, answer_type)},
            **also,
            "default": error_response(error),
        },
        "security": [] if open else _KEYS,
    }
    if body is not None:
        described["requestBody"] = {"required": body_required, "content": content(body, body_type)}
    return described


def content(schema: str, media_type: str = JSON) -> dict[str, Any]:
    return {media_type: {"schema": ref(schema)}}


def error_response(schema: str = "HTTPValidationError") -> dict[str, Any]:
    return {"description": "Error", "content": content(schema)}


def page(
    *media_types: str,
    summary: str,
    tag: str = "Service",
    schema: Schema = STRING,
    parameters: Sequence[dict[str, Any]] = (),
    open: bool = True,
    also: Mapping[str, Any] = _NOTHING,
) -> dict[str, Any]:
    """An operation that answers with a text of one of these types, or an error."""
    described = {media_type: {"schema": schema} for media_type in media_types}
    return {
        "tags": [tag],
        "summary": summary,
        "parameters": list(parameters),
        "responses": {
            "200": {"description": "Successful Response", "content": described},
            **also,
            "default": error_response(),
        },
        "security": [] if open else _KEYS,
    }


def redirect(tag: str, summary: str) -> dict[str, Any]:
    """An operation that answers with another address."""
    responses = {"302": {"description": "Found, at `Location`"}, "default": error_response()}
    return {"tags": [tag], "summary": summary, "responses": responses, "security": _KEYS}


def with_path_parameters(paths: Mapping[str, Any]) -> dict[str, Any]:
    """The paths, each with the parameters that its template names."""
    return {path: _in_path(path) | item for path, item in paths.items()}


def _in_path(path: str) -> dict[str, Any]:
    named = [parameter(name, where="path", required=True) for name in re.findall(r"\{(\w+)\}", path)]
    return {"parameters": named} if named else {}
