"""The descriptions of those of Weave's own paths that are served."""

from typing import Any

from app.web.openapi.models import schemas_of
from app.web.openapi.operations import JSON, operation, redirect
from app.web.openapi.schemas import ANY_OBJECT, INTEGER, STRING, TIME, Schema, array, enum, nullable, ref, struct
from app.web.weave import calls, datasets, feedback, files, objects, queries, refs

_TAG = "Weave"
_BODIES = (
    datasets.TableCreation,
    datasets.TableKey,
    datasets.TableOfDigests,
    datasets.TableQuery,
    datasets.TableUpdate,
    feedback.Feedback,
    feedback.FeedbackBatch,
    feedback.FeedbackPurge,
    feedback.FeedbackQuery,
    files.FileKey,
    objects.ObjectCreation,
    objects.ObjectKey,
    queries.CallKey,
    queries.CallsQuery,
    refs.Refs,
    calls.LoggedCall,
)


def _post(summary: str, answer: str, body: str, answer_type: str = JSON, body_type: str = JSON) -> dict[str, Any]:
    described = operation(
        _TAG, summary, answer, body=body, answer_type=answer_type, body_type=body_type, error="Reason"
    )
    return {"post": described}


PATHS: dict[str, Any] = {
    "/v2/{entity}/{project}/calls/complete": _post("Log complete calls, 10,000 at most", "CallsScoreRes", "CallBatch"),
    "/v2/{entity}/{project}/call/start": _post("Log the start of a call", "CallIds", "CallStart"),
    "/v2/{entity}/{project}/call/end": _post("Log the end of a call", "CallsScoreRes", "CallEnd"),
    "/call/upsert_batch": _post("Log starts and ends of calls, 10,000 at most", "UpsertResult", "UpsertBatch"),
    "/call/read": _post("One call that has ended, null if there is none", "CallFound", "CallKey"),
    "/calls/stream_query": _post(
        "Calls that have ended, one per line", "Call", "CallsQuery", answer_type="application/jsonl"
    ),
    "/calls/query_stats": _post("How many calls match", "CallsCount", "CallsQuery"),
    "/obj/create": _post("Publish an object", "ObjectDigest", "ObjectCreation"),
    "/obj/read": _post("Read an object", "ObjectRead", "ObjectKey"),
    "/file/create": _post("Store a file of at most 1 MiB", "FileDigest", "File", body_type="multipart/form-data"),
    "/file/content": _post("The bytes of a file", "Bytes", "FileKey", answer_type="application/octet-stream"),
    "/refs/read_batch": _post("Read the values that refs point to", "RefsRead", "Refs"),
    "/table/create": _post("Store rows as a table", "TableCreated", "TableCreation"),
    "/table/create_from_digests": _post("Make a table of stored rows", "TableDigest", "TableOfDigests"),
    "/table/update": _post("Make a table from another, with changes", "TableUpdated", "TableUpdate"),
    "/table/query": _post("Rows of a table", "TableRows", "TableQuery"),
    "/table/query_stats": _post("How many rows a table has", "TableCount", "TableKey"),
    "/feedback/create": _post("Give feedback on a call or another ref", "FeedbackMade", "Feedback"),
    "/feedback/batch/create": _post("Give feedback in a batch", "FeedbackBatchMade", "FeedbackBatch"),
    "/feedback/query": _post("Feedback, callscore's scores included", "FeedbackFound", "FeedbackQuery"),
    "/feedback/purge": _post("Delete feedback; callscore's scores stay", "CallsScoreRes", "FeedbackPurge"),
    "/server_info": {"get": operation(_TAG, "Supported versions of Weave's SDK", "ServerInfo", error="Reason")},
    "/graphql": _post("The queries of Weave's SDK at its start; no others", "GraphqlAnswer", "GraphqlQuery"),
    "/{entity}/{project}/weave": {"get": redirect(_TAG, "Weave's link to a project: redirects to the dashboard")},
    "/{entity}/{project}/r/call/{call_id}": {
        "get": redirect(_TAG, "Weave's link to a call: redirects to it on the dashboard")
    },
}

_MADE: dict[str, Schema] = {"id": STRING, "created_at": TIME, "wb_user_id": nullable(STRING), "payload": ANY_OBJECT}
_BATCH = {"maxItems": calls.MAX_BATCH}

SCHEMAS: dict[str, Schema] = {
    **schemas_of(_BODIES),
    "CallBatch": struct({"batch": {**array(ref("LoggedCall")), **_BATCH}}),
    "CallStart": struct(
        {
            "start": {
                **ANY_OBJECT,
                "description": "A LoggedCall whose id may be left out.",
            }
        }
    ),
    "CallEnd": struct({"end": ref("LoggedCall")}),
    "CallIds": struct({"id": STRING, "trace_id": STRING}),
    "UpsertBatch": struct(
        {
            "batch": {
                **array(
                    struct(
                        {
                            "mode": enum("start", "end"),
                            "req": {**ANY_OBJECT, "description": "A CallStart or a CallEnd, as `mode` says."},
                        }
                    )
                ),
                **_BATCH,
            }
        }
    ),
    "UpsertResult": struct({"res": array(ANY_OBJECT)}),
    "CallFound": struct({"call": nullable(ref("Call"))}),
    "CallsCount": struct({"count": INTEGER}),
    "ObjectDigest": struct({"digest": STRING, "object_id": STRING}),
    "ObjectRead": struct({"obj": ANY_OBJECT}),
    "File": struct(
        {"project_id": STRING, "file": {"type": "string", "format": "binary"}, "expected_digest": STRING},
        optional=("expected_digest",),
    ),
    "FileDigest": struct({"digest": STRING}),
    "Bytes": {"type": "string", "format": "binary"},
    "RefsRead": struct({"vals": {"type": "array", "items": {}}}),
    "TableCreated": struct({"digest": STRING, "row_digests": array(STRING)}),
    "TableDigest": struct({"digest": STRING}),
    "TableUpdated": struct({"digest": STRING, "updated_row_digests": array(STRING)}),
    "TableRows": struct({"rows": array(struct({"digest": STRING, "val": ANY_OBJECT, "original_index": INTEGER}))}),
    "TableCount": struct({"count": INTEGER}),
    "FeedbackMade": struct(_MADE),
    "FeedbackBatchMade": struct({"res": array(ref("FeedbackMade"))}),
    "FeedbackFound": struct({"result": array(ref("Feedback")), "total_count": INTEGER}),
    "ServerInfo": struct({"min_required_weave_python_version": STRING, "trace_server_version": STRING}),
    "GraphqlQuery": struct({"query": STRING, "variables": nullable(ANY_OBJECT)}, optional=("variables",)),
    "GraphqlAnswer": struct({"data": nullable(ANY_OBJECT), "errors": array(ANY_OBJECT)}, optional=("errors",)),
    "Reason": struct({"reason": STRING}, description="An error on Weave's own paths."),
}
