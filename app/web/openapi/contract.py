"""The part of the API description that is W&B Weave's wire contract, word for word."""

from typing import Any

CALLS_SCORE: dict[str, Any] = {
    "post": {
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
}

SCHEMAS: dict[str, Any] = {
    "CallsScoreReq": {
        "additionalProperties": False,
        "description": (
            "Request to enqueue scoring jobs for a list of calls.\n"
            "Scoring is performed asynchronously by the call_scoring_worker, which consumes messages from Kafka and "
            "applies each scorer_ref to each call_id."
        ),
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
    "CallsScoreRes": {
        "description": (
            "Empty response for calls_score.\n"
            "Defined as a model (rather than returning None) to follow the convention used throughout this interface "
            "and to allow fields to be added later without a breaking change."
        ),
        "properties": {},
        "title": "CallsScoreRes",
        "type": "object",
    },
    "HTTPValidationError": {
        "properties": {
            "detail": {
                "items": {"$ref": "#/components/schemas/ValidationError"},
                "title": "Detail",
                "type": "array",
            }
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

SECURITY_SCHEMES: dict[str, Any] = {
    "HTTPBasic": {"scheme": "basic", "type": "http"},
    "HTTPBearer": {"scheme": "bearer", "type": "http"},
}
