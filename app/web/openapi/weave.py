"""The descriptions of Weave's own paths, as far as they are served."""

from typing import Any

from app.web.openapi.schemas import ANY_OBJECT, INTEGER, STRING, TIME, Schema, array, enum, nullable, ref, struct

_TAG = "Weave"
_BOOLEAN: Schema = {"type": "boolean"}
_LINES = "application/jsonl"
_BYTES = "application/octet-stream"


def paths(operation: Any, place: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    """Each path; `place` are the parameters of those that name entity and project."""

    def post(summary: str, answer: str, body: str, *parameters: dict[str, Any]) -> dict[str, Any]:
        return {"post": operation(_TAG, summary, answer, *parameters, body=body, error="Reason")}

    def link(summary: str) -> dict[str, Any]:
        return {"get": {"tags": [_TAG], "summary": summary, "responses": {"302": {"description": "It is elsewhere"}}}}

    return {
        "/v2/{entity}/{project}/calls/complete": post(
            "Log complete calls, 10,000 at most", "CallsScoreRes", "CallBatch", *place
        ),
        "/v2/{entity}/{project}/call/start": post("Log the start of a call", "CallIds", "CallStart", *place),
        "/v2/{entity}/{project}/call/end": post("Log the end of a call", "CallsScoreRes", "CallEnd", *place),
        "/call/upsert_batch": post("Log starts and ends of calls, 10,000 at most", "UpsertResult", "UpsertBatch"),
        "/call/read": post("One call that has ended, null if there is none", "CallFound", "CallKey"),
        "/calls/stream_query": _answering(_LINES, post("Calls that have ended, a line each", "Call", "CallsQuery")),
        "/calls/query_stats": post("How many there are", "CallsCount", "CallsQuery"),
        "/obj/create": post("Publish an object", "ObjectDigest", "ObjectCreation"),
        "/obj/read": post("Read an object", "ObjectRead", "ObjectKey"),
        "/file/create": _asking("multipart/form-data", post("Keep a file, of 1 MiB at most", "FileDigest", "File")),
        "/file/content": _answering(_BYTES, post("The bytes of a file", "Bytes", "FileKey")),
        "/refs/read_batch": post("What refs into objects name", "RefsRead", "Refs"),
        "/table/create": post("Keep rows as a table", "TableCreated", "TableCreation"),
        "/table/create_from_digests": post("The same of rows that were sent before", "TableDigest", "TableOfDigests"),
        "/table/update": post("A table with other rows than another", "TableUpdated", "TableUpdate"),
        "/table/query": post("Rows of a table", "TableRows", "TableQuery"),
        "/table/query_stats": post("How many there are", "TableCount", "TableKey"),
        "/feedback/create": post("Say something of a call, or of what else a ref names", "FeedbackMade", "Feedback"),
        "/feedback/batch/create": post("The same, several at once", "FeedbackBatchMade", "FeedbackBatch"),
        "/feedback/query": post("What was said, scores of ours included", "FeedbackFound", "FeedbackQuery"),
        "/feedback/purge": post("Take back what was said; scores of ours stay", "CallsScoreRes", "FeedbackPurge"),
        "/server_info": {"get": operation(_TAG, "Which versions of Weave's SDK fit", "ServerInfo", error="Reason")},
        "/graphql": post("What Weave's SDK asks as it starts, and nothing else", "GraphqlAnswer", "GraphqlQuery"),
        "/{entity}/{project}/weave": link("To the dashboard, from where Weave's SDK says that a project is shown"),
        "/{entity}/{project}/r/call/{call_id}": link("To a call, from where Weave's SDK says that it is shown"),
    }


def _answering(media_type: str, path: dict[str, Any]) -> dict[str, Any]:
    content = path["post"]["responses"]["200"]["content"]
    content[media_type] = content.pop("application/json")
    return path


def _asking(media_type: str, path: dict[str, Any]) -> dict[str, Any]:
    content = path["post"]["requestBody"]["content"]
    content[media_type] = content.pop("application/json")
    return path


_EXPRESSION: Schema = {**nullable(ANY_OBJECT), "description": '`{"$expr": …}`, Weave\'s expressions.'}
_SORT_BY: Schema = nullable(array(struct({"field": STRING, "direction": enum("asc", "desc")})))
_WINDOW: dict[str, Schema] = {"sort_by": _SORT_BY, "limit": nullable(INTEGER), "offset": nullable(INTEGER)}
_MADE: dict[str, Schema] = {"id": STRING, "created_at": TIME, "wb_user_id": nullable(STRING), "payload": ANY_OBJECT}
_FILTERS = ("op_names", "parent_ids", "trace_ids", "call_ids", "thread_ids", "turn_ids", "wb_user_ids", "wb_run_ids")

SCHEMAS: dict[str, Schema] = {
    "CallKey": struct({"project_id": STRING, "id": STRING}),
    "CallFound": struct({"call": nullable(ref("Call"))}),
    "CallsQuery": struct(
        {
            "project_id": STRING,
            "filter": nullable(
                struct(
                    {name: nullable(array(STRING)) for name in _FILTERS} | {"trace_roots_only": nullable(_BOOLEAN)},
                    optional=(*_FILTERS, "trace_roots_only"),
                    description="What else Weave filters by is refused.",
                )
            ),
            "query": _EXPRESSION,
            **_WINDOW,
            "include_feedback": {**nullable(_BOOLEAN), "description": "In each call's `summary.weave.feedback`."},
        },
        optional=("filter", "query", *_WINDOW, "include_feedback"),
    ),
    "CallsCount": struct({"count": INTEGER}),
    "File": struct(
        {"project_id": STRING, "file": {"type": "string", "format": "binary"}, "expected_digest": STRING},
        optional=("expected_digest",),
    ),
    "FileDigest": struct({"digest": STRING}),
    "FileKey": struct({"project_id": STRING, "digest": STRING}),
    "Bytes": {"type": "string", "format": "binary"},
    "Refs": struct({"refs": array(STRING)}),
    "RefsRead": struct({"vals": {"type": "array", "items": {}}}),
    "TableCreation": struct(
        {
            "table": struct(
                {"project_id": STRING, "rows": array(ANY_OBJECT), "expected_digest": nullable(STRING)},
                optional=("expected_digest",),
            )
        }
    ),
    "TableCreated": struct({"digest": STRING, "row_digests": array(STRING)}),
    "TableOfDigests": struct(
        {"project_id": STRING, "row_digests": array(STRING), "expected_digest": nullable(STRING)},
        optional=("expected_digest",),
    ),
    "TableDigest": struct({"digest": STRING}),
    "TableUpdate": struct({"project_id": STRING, "base_digest": STRING, "updates": array(ANY_OBJECT)}),
    "TableUpdated": struct({"digest": STRING, "updated_row_digests": array(STRING)}),
    "TableKey": struct({"project_id": STRING, "digest": STRING}),
    "TableQuery": struct(
        {
            "project_id": STRING,
            "digest": STRING,
            "filter": nullable(struct({"row_digests": nullable(array(STRING))}, optional=("row_digests",))),
            "limit": nullable(INTEGER),
            "offset": nullable(INTEGER),
        },
        optional=("filter", "limit", "offset"),
    ),
    "TableRows": struct({"rows": array(struct({"digest": STRING, "val": ANY_OBJECT, "original_index": INTEGER}))}),
    "TableCount": struct({"count": INTEGER}),
    "Feedback": struct(
        {
            "project_id": STRING,
            "weave_ref": {**STRING, "description": "What it is of, such as weave:///entity/project/call/ID."},
            "feedback_type": {**STRING, "description": "`wandb.runnable.NAME` of a score."},
            "payload": ANY_OBJECT,
            "id": nullable(STRING),
            "runnable_ref": nullable(STRING),
            "call_ref": nullable(STRING),
        },
        optional=("id", "runnable_ref", "call_ref"),
        description="Feedback as Weave shapes it; further fields are kept.",
    ),
    "FeedbackMade": struct(_MADE),
    "FeedbackBatch": struct({"batch": array(ref("Feedback"))}),
    "FeedbackBatchMade": struct({"res": array(ref("FeedbackMade"))}),
    "FeedbackQuery": struct({"project_id": STRING, "query": _EXPRESSION, **_WINDOW}, optional=("query", *_WINDOW)),
    "FeedbackFound": struct({"result": array(ref("Feedback")), "total_count": INTEGER}),
    "FeedbackPurge": struct({"project_id": STRING, "query": ANY_OBJECT}),
    "ServerInfo": struct({"min_required_weave_python_version": STRING, "trace_server_version": STRING}),
    "GraphqlQuery": struct({"query": STRING, "variables": nullable(ANY_OBJECT)}, optional=("variables",)),
    "GraphqlAnswer": struct({"data": nullable(ANY_OBJECT), "errors": array(ANY_OBJECT)}, optional=("errors",)),
}
