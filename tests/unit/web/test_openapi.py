"""The description of `POST /calls/score` is the contract's, and every other one is that of the models in use."""

import re
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from aiohttp import web
from jsonschema_rs import Draft202012Validator
from pydantic import BaseModel

from app.web.openapi.document import PATHS, SPEC
from app.web.queries import Query
from app.web.routes import ROUTES
from app.web.submit import CallsScoreReq
from tests.unit.web.client import Answer, Client

CONTRACT: dict[str, Any] = {
    "CallsScoreReq": {
        "additionalProperties": False,
        "description": "Request to enqueue scoring jobs for a list of calls.\n"
        "Scoring is performed asynchronously by the call_scoring_worker, which consumes messages from Kafka and "
        "applies each scorer_ref to each call_id.",
        "properties": {
            "call_ids": {
                "description": "List of call IDs to score",
                "items": {"type": "string"},
                "title": "Call Ids",
                "type": "array",
            },
            "project_id": {"title": "Project Id", "type": "string"},
            "scorer_refs": {
                "description": "List of scorer refs to apply",
                "items": {"type": "string"},
                "title": "Scorer Refs",
                "type": "array",
            },
            "wb_user_id": {
                "anyOf": [{"type": "string"}, {"type": "null"}],
                "description": "Do not set directly. Server will automatically populate this field.",
                "title": "Wb User Id",
            },
        },
        "required": ["project_id", "call_ids", "scorer_refs"],
        "title": "CallsScoreReq",
        "type": "object",
    },
    "HTTPValidationError": {
        "properties": {
            "detail": {"items": {"$ref": "#/components/schemas/ValidationError"}, "title": "Detail", "type": "array"}
        },
        "title": "HTTPValidationError",
        "type": "object",
    },
    "ValidationError": {
        "properties": {
            "loc": {
                "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
                "title": "Location",
                "type": "array",
            },
            "msg": {"title": "Message", "type": "string"},
            "type": {"title": "Error Type", "type": "string"},
        },
        "required": ["loc", "msg", "type"],
        "title": "ValidationError",
        "type": "object",
    },
}
OPERATION: dict[str, Any] = {
    "tags": ["Scores"],
    "summary": "Calls Score",
    "operationId": "calls_score_calls_score_post",
    "requestBody": {
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/CallsScoreReq"}}},
        "required": True,
    },
    "responses": {
        "200": {
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/CallsScoreRes"}}},
            "description": "Successful Response",
        },
        "422": {
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/HTTPValidationError"}}},
            "description": "Validation Error",
        },
    },
    "security": [{"HTTPBasic": []}, {"HTTPBearer": []}],
}


def test_the_description_of_submitting_is_the_contracts(client: Client) -> None:
    spec = client.get("/openapi.json").json
    assert spec["paths"]["/calls/score"]["post"] == OPERATION
    schemas = spec["components"]["schemas"]
    assert {name: schemas[name] for name in CONTRACT} == CONTRACT
    assert schemas["CallsScoreRes"]["properties"] == {}
    assert spec["components"]["securitySchemes"] == {
        "HTTPBasic": {"scheme": "basic", "type": "http"},
        "HTTPBearer": {"scheme": "bearer", "type": "http"},
    }


def test_beside_the_contract_the_description_says_where_the_receipt_is_and_what_may_be_sent(client: Client) -> None:
    item = client.get("/openapi.json").json["paths"]["/calls/score"]
    for named in (
        "Location",
        "Prefer: return=representation",
        "Callscore-Rescore",
        "Idempotency-Key",
        "Content-Type: application/json",
    ):
        assert named in item["description"]
    assert {(header["name"], header["in"]) for header in item["parameters"]} == {
        ("Prefer", "header"),
        ("Idempotency-Key", "header"),
        ("Callscore-Rescore", "header"),
    }


def test_the_model_takes_what_the_contract_says() -> None:
    model, contract = CallsScoreReq.model_json_schema(), CONTRACT["CallsScoreReq"]
    assert model["additionalProperties"] is False
    assert sorted(model["required"]) == sorted(contract["required"])
    for name, described in contract["properties"].items():
        for key in ("type", "items", "anyOf"):
            assert model["properties"][name].get(key) == described.get(key)


def test_every_schema_that_is_named_is_there_and_no_other() -> None:
    def names(value: Any) -> set[str]:
        if isinstance(value, dict):
            own = {value["$ref"].rsplit("/", 1)[1]} if "$ref" in value else set()
            return own.union(*map(names, value.values())) if value else own
        return set().union(*map(names, value)) if isinstance(value, list) and value else set()

    assert names(SPEC["paths"]) | names(SPEC["components"]) == set(SPEC["components"]["schemas"])


def test_every_answer_that_is_no_error_is_described() -> None:
    of = {path: SPEC["paths"][f"/score-requests/{{request_id}}/{path}"] for path in ("cancel", "retry", "events")}
    for order in ("cancel", "retry"):
        answers = of[order]["post"]["responses"]
        assert answers["202"]["content"] == answers["200"]["content"]
    assert of["events"]["get"]["responses"].keys() == {"200", "204", "default"}
    assert "content" not in of["events"]["get"]["responses"]["204"]


def check_described(method: str, path: str, answer: Answer) -> None:
    """Check the answer to a described path as a strict client would."""
    responses = SPEC["paths"][path][method.lower()]["responses"]
    described = responses.get(str(answer.status), responses.get("default"))
    assert described is not None, (method, path, answer)
    if "content" in described:
        content_type = answer.headers["Content-Type"].partition(";")[0]
        assert content_type in described["content"], (method, path, answer)
        if content_type == "application/json":
            schema = described["content"][content_type]["schema"] | {"components": SPEC["components"]}
            Draft202012Validator(schema, validate_formats=True).validate(orjson.loads(answer.raw))


def test_every_page_and_error_without_a_worker_is_as_it_is_described(client: Client, locked: Client) -> None:
    for route in ROUTES:
        assert isinstance(route, web.RouteDef)
        body: dict[str, Any] | None = {} if route.method == "POST" else None
        path = re.sub(r"\{\w+\}", "x", route.path)
        if "302" not in SPEC["paths"][route.path][route.method.lower()]["responses"]:  # which the client follows
            check_described(route.method, route.path, client.request(route.method, path, body))
        if route.path != "/calls/score":  # the contract describes no other errors than 422
            check_described(route.method, route.path, locked.request(route.method, path, body))
    for file in ("dashboard.css", "dashboard.js"):
        check_described("GET", "/dashboard/{file}", client.get(f"/dashboard/{file}"))


def models_below(base: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """The models of views that others are not made from."""
    for model in base.__subclasses__():
        if model.__subclasses__():
            yield from models_below(model)
        elif model.__module__.startswith("app.web."):
            yield model


@pytest.fixture
def validated(monkeypatch: pytest.MonkeyPatch) -> list[type[BaseModel]]:
    """The models that something was validated with, in order."""
    noted: list[type[BaseModel]] = []
    validate = BaseModel.__dict__["model_validate"].__func__

    def note(model: type[BaseModel], *args: Any, **kwargs: Any) -> Any:
        noted.append(model)
        return validate(model, *args, **kwargs)

    monkeypatch.setattr(BaseModel, "model_validate", classmethod(note))
    return noted


def test_every_operation_takes_what_its_handler_validates(client: Client, validated: list[type[BaseModel]]) -> None:
    used: set[type[BaseModel]] = set()
    for route in ROUTES:
        assert isinstance(route, web.RouteDef)
        operation = SPEC["paths"][route.path][route.method.lower()]
        if "302" in operation["responses"]:
            continue  # what it leads to is looked at by itself
        validated.clear()
        body: dict[str, Any] | None = {} if route.method == "POST" else None
        client.request(route.method, re.sub(r"\{\w+\}", "x", route.path), body)
        used.update(validated)
        fields = {
            name: field for model in validated if issubclass(model, Query) for name, field in model.model_fields.items()
        }
        described = {one["name"]: one for one in operation.get("parameters", ()) if one["in"] == "query"}
        assert described.keys() == fields.keys(), route
        for name, field in fields.items():
            assert described[name]["required"] == field.is_required()
        bodies = [model.__name__ for model in validated if not issubclass(model, Query)]
        if bodies:
            [content] = operation["requestBody"]["content"].values()
            assert [content["schema"]["$ref"].rpartition("/")[2]] == bodies
    assert used >= set(models_below(Query))


def test_every_body_is_described_with_the_fields_that_are_validated() -> None:
    models = [model for model in models_below(BaseModel) if not issubclass(model, Query)]
    assert len(models) > 20
    for model in models:
        schema = SPEC["components"]["schemas"][model.__name__]
        fields = {field.alias or name: field for name, field in model.model_fields.items()}
        assert schema["properties"].keys() == fields.keys()
        assert set(schema.get("required", ())) == {name for name, field in fields.items() if field.is_required()}
        assert schema.get("additionalProperties", True) == (model.model_config.get("extra") != "forbid")


def test_limits_are_described_as_they_are_checked() -> None:
    schemas = SPEC["components"]["schemas"]

    def limit(schema: str, field: str) -> int:
        described: dict[str, Any] = schemas[schema]["properties"][field]
        [limit] = [part["maxItems"] for part in (described, *described.get("anyOf", ())) if "maxItems" in part]
        return int(limit)

    assert limit("RequestRetry", "scorer_refs") == 1_000
    assert limit("LetterOrder", "ids") == 1_000
    assert limit("CallsQuery", "expand_columns") == 100
    assert limit("FeedbackBatch", "batch") == 1_000
    assert limit("CallBatch", "batch") == 10_000
    group_by, limit_of_page = (
        next(one["schema"] for one in SPEC["paths"][path]["get"]["parameters"] if one["name"] == name)
        for path, name in (("/scores/summary", "group_by"), ("/scores", "limit"))
    )
    assert re.match(group_by["pattern"], "attributes.env")
    assert limit_of_page == {"type": "integer", "minimum": 1, "maximum": 1_000, "default": 100}


def test_every_path_is_described_with_the_parameters_in_it() -> None:
    for path, item in SPEC["paths"].items():
        described = {one["name"] for one in item.get("parameters", ()) if one["in"] == "path"}
        assert described == set(re.findall(r"\{(\w+)\}", path))


def test_every_path_of_the_description_is_served_and_every_route_is_described() -> None:
    served = {(route.method.lower(), route.path) for route in ROUTES if isinstance(route, web.RouteDef)}
    described = {(method, path) for path, item in PATHS.items() for method in item if method in ("get", "post")}
    assert served == described
