"""Shapes of histories, gaps and dead letters."""

from typing import get_args

from app.events import BuryReason
from app.web.openapi.schemas import (
    INTEGER,
    STRING,
    TIME,
    Schema,
    array,
    enum,
    nullable,
    page_of,
    ref,
    struct,
)
from tables.gaps import Reason

_GAP_REASONS = get_args(Reason)
_LETTER_REASONS = get_args(BuryReason)

_LETTER: dict[str, Schema] = {
    "id": STRING,
    "topic": STRING,
    "partition": INTEGER,
    "offset": INTEGER,
    "reason": {**STRING, "description": f"{', '.join(_LETTER_REASONS)}, or one of a later version."},
    "detail": STRING,
    "project_id": {**nullable(STRING), "description": "The project of the record, if known."},
    "bytes": {**INTEGER, "description": "Size of the stored record."},
    "left_out": {
        "type": "boolean",
        "description": "The record was too large for the letter; the log has it.",
    },
    "logged_at": {**TIME, "description": "When the record was written."},
    "at": {**TIME, "description": "When it could not be processed."},
    "redrive_of": {**nullable(STRING), "description": "The earlier letter, if this is about its redriven record."},
    "redriven_at": nullable(TIME),
    "redriven_by": nullable(STRING),
    "dismissed_at": {**nullable(TIME), "description": "When it was closed without redriving its record."},
    "dismissed_by": nullable(STRING),
}
_MORE: dict[str, Schema] = {
    "until": {**TIME, "description": "Only letters of records written up to then were selected."},
    "more": {"type": "boolean", "description": "There may be more: ask again with this `until` and this cursor."},
    "next_cursor": nullable(STRING),
}

_BY_NAME: Schema = {"type": "object", "additionalProperties": INTEGER}

SCHEMAS: dict[str, Schema] = {
    "Gap": struct(
        {
            "call_id": STRING,
            "reason": enum(*_GAP_REASONS),
            "error": {**nullable(ref("Error")), "description": "The final error, or that of the last attempt."},
            "attempts": INTEGER,
            "since": nullable(TIME),
            "next_at": {**nullable(TIME), "description": "When it is tried again, or stops waiting."},
        }
    ),
    "GapPage": struct({"items": array(ref("Gap")), "next_cursor": nullable(STRING), "scorer_ref": STRING}),
    "GapSummary": struct(
        {
            "scorer_ref": STRING,
            "calls": {**INTEGER, "description": "Logged calls, and calls that a task of the scorer is or was for."},
            "scored": INTEGER,
            "gaps": INTEGER,
            "reasons": _BY_NAME,
            "errors": {**_BY_NAME, "description": "By type: of tasks that failed, and of tasks that will be retried."},
        }
    ),
    "HistoryEvent": struct(
        {
            "event": enum(
                "TaskParked",
                "TaskJoined",
                "TaskWithdrawn",
                "AttemptFailed",
                "ScoreSucceeded",
                "ScoreFailed",
                "ScoreCancelled",
            ),
            "occasion": {**STRING, "description": "The token of Callscore-Rescore; '' without one."},
            "round": INTEGER,
            "attempts": {**INTEGER, "description": "So far in this round."},
            "at": TIME,
            "logged_at": {**TIME, "description": "When it was written to the log."},
            "reason": {**nullable(STRING), "description": "What it waits for, or the type of the error."},
            "error": nullable(ref("Error")),
            "next_at": {**nullable(TIME), "description": "When it is tried again, or stops waiting."},
            "request_ids": {
                **array(STRING),
                "description": "The requests it is about, unless it is an outcome.",
            },
            "revision": {**nullable(INTEGER), "description": "Number of the outcome, as on a score."},
            "superseded": {
                "type": "boolean",
                "description": "Its round already had an outcome, which counts.",
            },
            "output": {"description": "Any JSON value; only if it succeeded."},
            "position": struct({"partition": INTEGER, "offset": INTEGER}),
        },
        optional=("output",),
    ),
    "HistoryPage": page_of("HistoryEvent"),
    "Letter": struct(_LETTER),
    "WholeLetter": struct(
        {
            **_LETTER,
            "key": nullable(STRING),
            "key_base64": {**STRING, "description": "Instead of `key`, if it is not text."},
            "value": {"description": "Any JSON value."},
            "value_base64": {**STRING, "description": "Instead of `value`, if it is not JSON."},
        },
        optional=("key", "key_base64", "value", "value_base64"),
    ),
    "Redriven": struct(
        {
            "redriven": INTEGER,
            "left_out": {**INTEGER, "description": "Letters whose record was too large to be stored in them."},
            **_MORE,
        }
    ),
    "Dismissed": struct(
        {
            "dismissed": INTEGER,
            "left_out": {**INTEGER, "description": "Always 0: any letter can be dismissed."},
            **_MORE,
        }
    ),
    "LetterPage": page_of("Letter"),
}
