"""Shapes of what was and of what is missing: histories, gaps and dead letters."""

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
    "project_id": {**nullable(STRING), "description": "Whose record it is, as far as it says so."},
    "bytes": {**INTEGER, "description": "Of the record that is kept."},
    "left_out": {"type": "boolean", "description": "The record was too large to be kept here; the log has it."},
    "logged_at": {**TIME, "description": "When the record was written."},
    "at": {**TIME, "description": "When it could not be processed."},
    "redrive_of": {**nullable(STRING), "description": "The letter whose record this is, tried again."},
    "redriven_at": nullable(TIME),
    "redriven_by": nullable(STRING),
    "dismissed_at": {**nullable(TIME), "description": "When it was closed without trying its record again."},
    "dismissed_by": nullable(STRING),
}
_MORE: dict[str, Schema] = {
    "until": {**TIME, "description": "Only records written up to then were meant."},
    "more": {"type": "boolean", "description": "Ask again, with this `until` and this cursor, as there may be more."},
    "next_cursor": nullable(STRING),
}

_BY_NAME: Schema = {"type": "object", "additionalProperties": INTEGER}

SCHEMAS: dict[str, Schema] = {
    "Gap": struct(
        {
            "call_id": STRING,
            "reason": enum(*_GAP_REASONS),
            "error": {**nullable(ref("Error")), "description": "What failed, for good or last."},
            "attempts": INTEGER,
            "since": nullable(TIME),
            "next_at": {**nullable(TIME), "description": "When it is taken up again, or given up waiting."},
        }
    ),
    "GapPage": struct({"items": array(ref("Gap")), "next_cursor": nullable(STRING), "scorer_ref": STRING}),
    "GapSummary": struct(
        {
            "scorer_ref": STRING,
            "calls": {**INTEGER, "description": "That are there, or that a task of the scorer is or was for."},
            "scored": INTEGER,
            "gaps": INTEGER,
            "reasons": _BY_NAME,
            "errors": {**_BY_NAME, "description": "By type, of what failed and of what is to be tried again."},
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
            "occasion": {**STRING, "description": "What Callscore-Rescore named, '' for none."},
            "round": INTEGER,
            "attempts": {**INTEGER, "description": "So far in this round."},
            "at": TIME,
            "logged_at": {**TIME, "description": "When the log took it."},
            "reason": {**nullable(STRING), "description": "What it waits for, or the type of the error."},
            "error": nullable(ref("Error")),
            "next_at": {**nullable(TIME), "description": "When it is taken up again, or given up waiting."},
            "request_ids": {**array(STRING), "description": "Whom an event that is no outcome is told to."},
            "revision": {**nullable(INTEGER), "description": "Number of the outcome, as on a score."},
            "superseded": {"type": "boolean", "description": "An outcome that came when its round had one."},
            "output": {"description": "Any JSON value; only where it succeeded."},
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
            "key_base64": {**STRING, "description": "Instead of a key that is no text."},
            "value": {"description": "Any JSON value."},
            "value_base64": {**STRING, "description": "Instead of a value that is no JSON."},
        },
        optional=("key", "key_base64", "value", "value_base64"),
    ),
    "Redriven": struct(
        {
            "redriven": INTEGER,
            "left_out": {**INTEGER, "description": "Letters whose record was too large to be kept in them."},
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
