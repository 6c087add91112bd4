"""The description of `POST /calls/score` is the contract's."""

from typing import Any

from app.web.openapi.document import SPEC
from app.web.submit import CallsScoreReq
from tests.unit.web.client import Client

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


def test_every_schema_that_is_named_is_there() -> None:
    def names(value: Any) -> set[str]:
        if isinstance(value, dict):
            own = {value["$ref"].rsplit("/", 1)[1]} if "$ref" in value else set()
            return own.union(*map(names, value.values())) if value else own
        return set().union(*map(names, value)) if isinstance(value, list) and value else set()

    assert names(SPEC["paths"]) | names(SPEC["components"]) <= set(SPEC["components"]["schemas"])


def test_every_answer_that_is_no_error_is_described() -> None:
    of = {path: SPEC["paths"][f"/score-requests/{{request_id}}/{path}"] for path in ("cancel", "retry", "events")}
    for order in ("cancel", "retry"):
        answers = of[order]["post"]["responses"]
        assert answers["202"]["content"] == answers["200"]["content"]
    assert of["events"]["get"]["responses"].keys() == {"200", "204", "default"}
    assert "content" not in of["events"]["get"]["responses"]["204"]
