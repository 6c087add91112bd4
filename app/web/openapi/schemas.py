"""Shapes of callscore's own views, for the API description."""

from typing import Any

from app.web.progress import TASK_STATES

Schema = dict[str, Any]

STRING: Schema = {"type": "string"}
INTEGER: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
ANY_OBJECT: Schema = {"type": "object"}
TIME: Schema = {"type": "string", "format": "date-time"}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def nullable(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def array(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def enum(*values: str) -> Schema:
    return {"type": "string", "enum": list(values)}


def struct(properties: dict[str, Schema], optional: tuple[str, ...] = (), description: str = "") -> Schema:
    """An object whose properties are all required but the optional ones."""
    required = [name for name in properties if name not in optional]
    schema: Schema = {"type": "object", "properties": properties, "required": required}
    return {"description": description, **schema} if description else schema


def page_of(name: str) -> Schema:
    return struct({"items": array(ref(name)), "next_cursor": nullable(STRING)})


_COUNTS = struct(dict.fromkeys(("total", *TASK_STATES, "reused"), INTEGER))
_NUMBERS = dict.fromkeys(("mean", "min", "max", "p5", "p50", "p95"), NUMBER)
_HISTOGRAM = struct({"edges": array(NUMBER), "counts": array(INTEGER)})

SCHEMAS: dict[str, Schema] = {
    "Request": struct(
        {
            "request_id": STRING,
            "project_id": STRING,
            "status": enum("running", "completed", "cancelled"),
            "tasks": _COUNTS,
            "scorer_refs": array(STRING),
            "rule_id": {**nullable(STRING), "description": "The rule that made it; null if a client did."},
            "requested_by": nullable(STRING),
            "requested_at": TIME,
            "finished_at": nullable(TIME),
            "rate": {**nullable(NUMBER), "description": "Tasks run per second since the request was made."},
            "eta": {**nullable(TIME), "description": "When it will be finished at that rate."},
            "cost": {**nullable(ref("Cost")), "description": "What its attempts cost; null if no provider was called."},
        },
        description="`tasks` has a count for each of the eight states, which sum to `total`.",
    ),
    "Cost": struct(
        {
            "usd": {**nullable(NUMBER), "description": "Null if no request has a known price."},
            "requests": {**INTEGER, "description": "Requests that providers answered."},
            "input_tokens": INTEGER,
            "output_tokens": INTEGER,
            "unpriced_requests": {**INTEGER, "description": "Requests whose price is unknown; not included in usd."},
            "unanswered_requests": {
                **INTEGER,
                "description": "Requests cut off by a time-out, a cancel or a kill; their cost is unknown.",
            },
        }
    ),
    "Costs": struct(
        {
            "items": array(
                struct(
                    {
                        "day": {**TIME, "description": "Start of the day."},
                        "scorer_ref": STRING,
                        "scorer_name": STRING,
                        "cost": ref("Cost"),
                    }
                )
            ),
            "total": {**nullable(ref("Cost")), "description": "Null if no provider was called."},
        }
    ),
    "Task": struct(
        {
            "task_id": STRING,
            "call_id": STRING,
            "scorer_ref": STRING,
            "status": enum(*TASK_STATES),
            "since": TIME,
            "round": INTEGER,
            "attempts": INTEGER,
            "next_at": nullable(TIME),
            "reason": {
                **nullable(STRING),
                "description": "What the task waits for, the error of its last attempt, or why its scorer is paused.",
            },
            "worker": {**STRING, "description": "The worker that owns the task."},
            "position": {
                **nullable(struct({"partition": INTEGER, "offset": INTEGER})),
                "description": "The record of score-events that caused this status; null while it is queued.",
            },
        }
    ),
    "Error": struct(
        {
            "type": STRING,
            "message": STRING,
            "traceback": {**STRING, "description": "Only if the scorer raised: its traceback, from its own code on."},
            "raw": {**STRING, "description": "Only if the answer of a judge could not be read: the answer."},
        },
        optional=("traceback", "raw"),
    ),
    "Score": struct(
        {
            "project_id": STRING,
            "call_id": STRING,
            "scorer_ref": STRING,
            "scorer_name": STRING,
            "status": enum("succeeded", "failed", "cancelled"),
            "output": {"description": "Any JSON value; only if it succeeded."},
            "error": {**ref("Error"), "description": "Only if it failed."},
            "attempts": INTEGER,
            "revision": {**INTEGER, "description": "Number of this outcome among those of the call and scorer."},
            "scored_at": TIME,
            "op_name": nullable(STRING),
            "lineage": {
                **ANY_OBJECT,
                "description": "scorer_kind, scorer_digest, input_digest, latency_ms, attempt, partition, offset, and "
                "cost (a Cost, null if no provider was called); for a judge also provider, model, answered_by, "
                "parameters, prompt_digest, and repaired if its first answer could not be read.",
            },
        },
        optional=("output", "error"),
    ),
    "Distribution": struct(
        {
            "type": enum("number", "boolean", "string", "null"),
            "n": INTEGER,
            **_NUMBERS,
            "histogram": _HISTOGRAM,
            "true": {**NUMBER, "description": "The fraction that is true."},
            "top": array(struct({"value": STRING, "n": INTEGER})),
            "complete": {"type": "boolean", "description": "Whether every string was counted."},
            "other": {"type": "object", "description": "Values of other types at this path, by type."},
        },
        optional=(*_NUMBERS, "histogram", "true", "top", "complete", "other"),
    ),
    "ScorerSummary": struct(
        {
            "scorer_ref": STRING,
            "scorer_name": STRING,
            "group": nullable(STRING),
            "succeeded": INTEGER,
            "failed": INTEGER,
            "failures": {"type": "object", "additionalProperties": INTEGER, "description": "By type of error."},
            "outputs": {
                "type": "object",
                "additionalProperties": ref("Distribution"),
                "description": "By dotted path of the leaf, '' for a bare value; 'path[]' is the length of a list.",
            },
            "outputs_complete": {"type": "boolean", "description": "False if there were too many different paths."},
        }
    ),
    "Scorer": struct(
        {
            "ref": STRING,
            "name": STRING,
            "kind": STRING,
            "description": STRING,
            "params": ANY_OBJECT,
            "project_id": nullable(STRING),
            "policy": ref("Policy"),
        }
    ),
    "ScorerKind": struct(
        {"kind": STRING, "description": STRING, "params": {**ANY_OBJECT, "description": "The JSON Schema of params."}}
    ),
    "Trial": struct(
        {
            "scorer_ref": STRING,
            "status": enum("succeeded", "failed"),
            "output": {"description": "Any JSON value; only if it succeeded."},
            "error": struct(
                {
                    "type": STRING,
                    "message": STRING,
                    "traceback": STRING,
                    "raw": STRING,
                    "retryable": {"type": "boolean"},
                },
                optional=("traceback", "raw"),
                description="Only if it failed.",
            ),
            "lineage": ANY_OBJECT,
            "saved_since": {
                "type": "boolean",
                "description": "Whether its file was saved after the service had loaded it: older code may have run.",
            },
        },
        optional=("output", "error"),
    ),
    "Breaker": struct(
        {
            "scorer_ref": STRING,
            "scorer_name": STRING,
            "project_id": {
                **nullable(STRING),
                "description": "The project that published the scorer for itself; null if it is for all projects.",
            },
            "state": enum("closed", "open", "half_open"),
            "reason": {**nullable(STRING), "description": "The last error that opened it or kept it open."},
            "since": TIME,
            "next_probe_at": {**nullable(TIME), "description": "When one task runs as a probe."},
            "failures": {**INTEGER, "description": "Consecutive failures, on the worker with the most."},
            "workers": array(struct({"url": STRING, "state": enum("closed", "open", "half_open")})),
        }
    ),
    "Rule": struct(
        {
            "rule_id": STRING,
            "project_id": STRING,
            "name": STRING,
            "status": enum("active", "paused", "removed"),
            "scorer_refs": array(STRING),
            "where": {**ANY_OBJECT, "description": "The value, or the list of values, that a call must have there."},
            "sample_rate": NUMBER,
            "set_by": nullable(STRING),
            "set_at": TIME,
            "created_at": TIME,
            "calls": struct(dict.fromkeys(("matched", "sampled", "sampled_out"), INTEGER)),
            "last_matched_at": nullable(TIME),
        },
    ),
    "Decision": struct(
        {
            "call_id": STRING,
            "decision": enum("sampled", "sampled_out"),
            "at": TIME,
            "request_id": {**nullable(STRING), "description": "The rule's request that scores it."},
        },
    ),
    "Call": struct(
        {
            "id": STRING,
            "project_id": STRING,
            "trace_id": nullable(STRING),
            "parent_id": nullable(STRING),
            "op_name": nullable(STRING),
            "started_at": {**nullable(STRING), "description": "A time as it was logged, in UTC unless it has a zone."},
            "ended_at": {**nullable(STRING), "description": "As started_at."},
            "inputs": nullable(ANY_OBJECT),
            "output": {},
            "attributes": nullable(ANY_OBJECT),
            "summary": nullable(ANY_OBJECT),
            "exception": nullable(STRING),
        },
        optional=(
            "trace_id",
            "parent_id",
            "op_name",
            "started_at",
            "ended_at",
            "inputs",
            "output",
            "attributes",
            "summary",
            "exception",
        ),
        description="A call as Weave shapes it; further fields are kept.",
    ),
    "Project": struct({"project_id": STRING}),
    "ProjectPage": page_of("Project"),
    "RequestPage": page_of("Request"),
    "TaskPage": page_of("Task"),
    "ScorePage": page_of("Score"),
    "CallPage": page_of("Call"),
    "ScorerPage": page_of("Scorer"),
    "BreakerPage": page_of("Breaker"),
    "RulePage": page_of("Rule"),
    "DecisionPage": page_of("Decision"),
    "ScorerKindPage": page_of("ScorerKind"),
    "Summary": struct({"items": array(ref("ScorerSummary"))}),
    "Health": struct({"status": STRING, "reason": STRING}, optional=("reason",)),
}
