"""Folds every topic into its tables: all that a record does to rows. Agents and `callscore replay` apply the same."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from app import ids, topics
from app.events import (
    BuryReason,
    CallLogged,
    Control,
    DeadLetter,
    FeedbackGiven,
    FileKept,
    LetterEvent,
    RequestAccepted,
    RequestClaimed,
    RuleSet,
    ScoreEvents,
    ScoreRequested,
    ScorerPublished,
    WeaveEvent,
    decode_call,
    decode_control,
    decode_letter,
    decode_request,
    decode_score_events,
    decode_scorer,
    decode_weave,
)
from app.structs import MAX_DEPTH, is_deep
from tables import calls, chunks, claims, controls, dead_letters, requests, rules, scorers, weave
from tables.at import At
from tables.changes import Changes

E = TypeVar("E")
R = TypeVar("R")


class CannotApply(Exception):
    """A record that can never be applied; it becomes a dead letter with this reason and detail."""

    def __init__(self, reason: BuryReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class Fold(Generic[E, R]):
    """How a record of a topic is decoded, and applied to the tables of its partition."""

    parse: Callable[[bytes], E]
    apply: Callable[[At, E], R]

    def decode(self, value: bytes | None) -> E:
        """The event in a record. Raises CannotApply."""
        try:
            event = self.parse(value or b"")
        except (ValueError, RecursionError) as error:
            raise CannotApply("unknown_version" if _of_later_version(value) else "undecodable", str(error)) from None
        if _ESCAPED_SEPARATOR in (value or b""):  # in few records, so that the others cost no look at every name
            _check_keys(event)
        return event


# JSON has no other way to write it.
_ESCAPED_SEPARATOR = b"\\u0000"
# Fields that keys of rows are made of, whether each is a name or a list of them.
_KEYED = (
    "call_id",
    "call_ids",
    "control_id",
    "digest",
    "feedback_id",
    "letter_id",
    "name",
    "occasion",
    "project_id",
    "ref",
    "request_id",
    "rule_id",
    "sampled_out",
    "scorer_ref",
    "scorer_refs",
    "topic",
    "weave_ref",
)


def _check_keys(event: Any) -> None:
    """Raise CannotApply if a key would be split in other places than it was joined at."""
    ruled = [event.rule] if isinstance(event, ScoreRequested) and event.rule is not None else []
    for one in event.events if isinstance(event, ScoreEvents) else [event, *ruled]:
        named = {name: getattr(one, name, None) or "" for name in _KEYED}
        named["targets"] = [target.request_id for target in getattr(one, "targets", ())]
        for name, value in named.items():
            if any("\0" in part for part in ([value] if isinstance(value, str) else value)):
                raise CannotApply("undecodable", f"{name} of a {type(one).__name__} contains U+0000")


def _of_later_version(value: bytes | None) -> bool:
    """Whether a record that cannot be decoded has an event of another version."""
    try:
        event = msgspec.json.decode(value or b"")
    except (ValueError, RecursionError):
        return False
    events = event.get("events") if isinstance(event, dict) else None
    found = [event, *events] if isinstance(events, list) else [event]
    return any(isinstance(one, dict) and one.get("v", 1) != 1 for one in found)


def _call(at: At, event: CallLogged) -> calls.Row:
    """Returns the row of the call."""
    key = ids.call_key(event.project_id, event.call_id)
    try:
        row, verdict = calls.merge(calls.load(at.partition, key), event, at.offset)
    except TypeError as error:  # a number beyond 64 bits, which the views refuse
        raise CannotApply("undecodable", str(error)) from None
    if verdict == "call_rewritten":
        raise CannotApply(verdict, f"call {event.call_id}: its {event.part} is already logged with other content")
    if verdict == "call_too_large":
        raise CannotApply(verdict, f"call {event.call_id}: start and end together exceed {calls.MAX_CALL_BYTES} bytes")
    assert row is not None
    calls.save(at.partition, key, row)
    return row


def _scorer(at: At, event: ScorerPublished) -> None:
    if is_deep([event.params, event.policy, event.source]):
        raise CannotApply("undecodable", f"scorer {event.name}: it is nested more than {MAX_DEPTH} levels deep")
    scorers.save(at.partition, event, at.offset)


def _request(at: At, event: ScoreRequested | RequestClaimed | RequestAccepted) -> chunks.Row | None:
    """Returns the row of the chunk, if the record is one."""
    if isinstance(event, RequestClaimed):
        claim = claims.load(at.partition, event.request_id)
        claims.save(at.partition, claims.fold(claim, event, at.offset))
        return None
    if isinstance(event, RequestAccepted):
        known = requests.load(at.partition, event.request_id)
        requests.save(at.partition, requests.fold(known, event, at.offset))
        return None
    chunk = event.replace(rule=None)  # which tables/rules keeps
    row = chunks.fold(chunks.load(at.partition, event.request_id, event.chunk), chunk, at.offset)
    chunks.save(at.partition, row)
    if event.rule is not None and row.offset == at.offset:
        rules.save_batch(at.partition, event, at.offset)
    return row


def _control(at: At, control: Control | RuleSet) -> int | None:
    """Returns the number of a request's control; None if it is known from another offset, or sets a rule."""
    most = rules.MAX_BYTES if isinstance(control, RuleSet) else controls.MAX_BYTES
    if len(control.encode()) > most:
        whose = f"rule {control.rule_id}" if isinstance(control, RuleSet) else f"request {control.request_id}"
        detail = f"control {control.control_id:.512} of {whose:.520}: it exceeds"
        raise CannotApply("undecodable", f"{detail} {most} bytes")
    if isinstance(control, RuleSet):
        rules.save(at.partition, control, at.offset)
        return None
    return controls.save(at.partition, control, at.offset)


def _score_events(at: At, batch: ScoreEvents) -> Changes:
    """Returns what changed."""
    changes = Changes(at)
    changes.apply(batch.events)
    try:
        written = changes.encode()
    except TypeError as error:  # a number beyond 64 bits, or nested too deeply, which no output of a scorer is
        raise CannotApply("undecodable", str(error)) from None
    for table, rows in written:
        table.write(at.partition, rows)
    return changes


def _letter(at: At, event: LetterEvent) -> tuple[dead_letters.Row | None, bool]:
    """Returns the row of the letter, None if there is none, and whether it is new."""
    letter_id = dead_letters.id_of(event) if isinstance(event, DeadLetter) else event.letter_id
    known = dead_letters.load(at.partition, letter_id)
    row = dead_letters.fold(known, event, at.offset)
    if row is not None:
        dead_letters.save(at.partition, row)
    return row, known is None


def _weave(at: At, event: WeaveEvent) -> None:
    if isinstance(event, FeedbackGiven) and is_deep(event.feedback):
        raise CannotApply(
            "undecodable", f"feedback {event.feedback_id}: it is nested more than {MAX_DEPTH} levels deep"
        )
    if isinstance(event, FileKept):
        weave.save_file(at.partition, event)
    else:
        weave.save_feedback(at.partition, event, at.offset)


CALLS = Fold(decode_call, _call)
SCORERS = Fold(decode_scorer, _scorer)
SCORE_REQUESTS = Fold(decode_request, _request)
CONTROLS = Fold(decode_control, _control)
SCORE_EVENTS = Fold(decode_score_events, _score_events)
DEAD_LETTERS = Fold(decode_letter, _letter)
WEAVE = Fold(decode_weave, _weave)

BY_TOPIC: Mapping[topics.Topic, Fold[Any, Any]] = {
    topics.calls: CALLS,
    topics.scorers: SCORERS,
    topics.score_requests: SCORE_REQUESTS,
    topics.controls: CONTROLS,
    topics.score_events: SCORE_EVENTS,
    topics.dead_letters: DEAD_LETTERS,
    topics.weave: WEAVE,
}
