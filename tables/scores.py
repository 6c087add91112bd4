"""Table of scores: one row a task that has ended, with its newest outcome and the rounds before it."""

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any, Literal, NamedTuple, TypedDict

import orjson

from app import ids, paths
from app.events import ScoreCancelled, ScoreFailed, ScoreSucceeded
from app.usage import total_usage
from tables import calls
from tables.base import Rows, Table, caches
from tables.paging import Cursors, Looked, Page, page_of

table = Table("scores")

Json = dict[str, Any]
Status = Literal["succeeded", "failed", "cancelled"]


Row = Json
"""How a task ended, as stored, without null and empty fields. A plain dict, as the row that is written most.

offset, logged_at: of its event in the log, and when that was appended
status, round, attempts, at
output: of one that succeeded
error: of one that failed, see `app.events.Error`
op_name, lineage
spent: by all attempts of the round, see `app.usage.Usage`; left out if no provider was asked
past: the rounds before this one, in order, with the same fields; old ones with fewer, see `_shorten`
"""

Terminal = ScoreSucceeded | ScoreFailed | ScoreCancelled
_STATUS: dict[type[Terminal], Status] = {
    ScoreSucceeded: "succeeded",
    ScoreFailed: "failed",
    ScoreCancelled: "cancelled",
}


def fold(row: Row | None, event: Terminal, offset: int, logged_at: float | None = None) -> Row:
    """The row after a terminal event: the first terminal event of a round wins."""
    if row is not None and (row["offset"] >= offset or row["round"] >= event.round):
        return row
    spent = total_usage(event.earlier, event.spent)
    found = {
        "offset": offset,
        "logged_at": logged_at,
        "status": _STATUS[type(event)],
        "round": event.round,
        "attempts": event.attempts,
        "output": event.output if isinstance(event, ScoreSucceeded) else None,
        "error": event.error.as_dict() if isinstance(event, ScoreFailed) else None,
        "at": event.at,
        "op_name": event.op_name,
        "lineage": event.lineage or None,
        "spent": spent and spent.as_dict(),
        "past": None if row is None else _shorten(ends(row)),
    }
    return {name: value for name, value in found.items() if value is not None}


# A row must fit into a record of its changelog, however often its task was run again.
MOST_PAST_BYTES, MOST_PAST_ROUNDS = 256 * 1024, 1_000
_KEPT_OF_OLD = ("offset", "logged_at", "status", "round", "attempts", "at")


def _shorten(past: list[Row]) -> list[Row]:
    """The newest rounds; where these are too large together, the oldest are cut down to facts and error type.

    None of them succeeded: a task that has succeeded is not run again.
    """
    past = past[-MOST_PAST_ROUNDS:]
    left = len(orjson.dumps(past)) - MOST_PAST_BYTES
    found = list(past)
    for number, ended in enumerate(past):
        if left <= 0:
            break
        found[number] = {name: ended[name] for name in _KEPT_OF_OLD if name in ended}
        if "error" in ended:
            found[number]["error"] = {"type": ended["error"]["type"], "message": ""}
        left -= len(orjson.dumps(ended)) - len(orjson.dumps(found[number]))
    return found


def outcome_of(row: Row, round_number: int) -> Json:
    """How the round ended, for a round up to the row's."""
    return next((past for past in row.get("past", ()) if past["round"] == round_number), row)


# Tasks that `ended` found no row of. The recorder loads the row next, and would search all files of the table again.
# A row is written only after it was loaded, so no task in here has one.
_missing: set[tuple[int, bytes]] = set()
caches.append(_missing.clear)
_MOST_MISSING = 16_384


def load(partition: int, key: bytes) -> Row | None:
    if (partition, key) in _missing:
        _missing.remove((partition, key))
        return None
    return table.load(partition, key, decode)


def decode(value: bytes) -> Row:
    """A row as it is stored."""
    found: Row = orjson.loads(value)
    return found


def encode_all(rows: Mapping[bytes, Row]) -> Rows:
    """Rows as they are stored. Raises JSONEncodeError for a number beyond 64 bits."""
    return [(key, orjson.dumps(row)) for key, row in rows.items()]


class Ended(NamedTuple):
    """How the newest round of a task ended."""

    status: Status
    round: int
    attempts: int
    at: float


def ended(partition: int, key: bytes) -> Ended | None:
    """The newest outcome of a task, None without one. Scoring asks this for each task."""
    value = table.get_row(partition, key)
    if value is None:
        if len(_missing) >= _MOST_MISSING:
            _missing.clear()
        _missing.add((partition, key))
        return None
    row = decode(value)
    return Ended(row["status"], row["round"], row["attempts"], row["at"])


# --- queries -------------------------------------------------------------------------------------


class Filters(TypedDict, total=False):
    """Filters of scores; one that is left out or None lets all through.

    With `as_of` (Unix seconds), scores as they were at that time of the log.
    """

    call_id: str | None
    scorer_ref: str | None
    status: str | None
    op_name: str | None
    as_of: float | None


class Shown(TypedDict):
    """The outcome to show of a call × scorer ref, with its row as stored."""

    call_id: str
    scorer_ref: str
    occasion: str
    revision: int
    partition: int
    row: Json


def page(partition: int, after: str | None, rows: int, project_id: str, filters: Filters) -> Page:
    """The outcome to show of each call × scorer ref, by call id and scorer ref."""
    return page_of(rows, _shown(partition, project_id, after, filters))


def outcomes(
    partition: int,
    cursors: Cursors,
    project_id: str,
    filters: Filters,
    group_by: str | None,
) -> Page:
    """[scorer ref, group, succeeded, output or error type] of the outcome to show of each call × scorer ref.

    One slice, after this partition's cursor. The group is the call's `op_name`, or its value at a path such as
    `attributes.model`; None where it has none.
    """
    after = cursors[partition]
    if isinstance(after, bool):
        return {"items": [], "next": None}
    return page_of(_OUTCOMES, _outcomes(partition, project_id, after, filters, group_by))


_OUTCOMES = 2_000


def _outcomes(
    partition: int, project_id: str, after: str | None, filters: Filters, group_by: str | None
) -> Iterator[Looked]:
    group_of: tuple[str | None, Any] = (None, None)  # rows of a call are neighbours, so each call is read once
    for key, shown, size in _shown(partition, project_id, after, filters):
        if shown is None or shown["row"]["status"] == "cancelled":
            yield key, None, 0
            continue
        row = shown["row"]
        if group_by is None or group_by == "op_name":
            group = row.get("op_name") if group_by else None
        else:
            if group_of[0] != shown["call_id"]:
                group_of = shown["call_id"], _at_path(partition, project_id, shown["call_id"], group_by)
            group = group_of[1]
        succeeded = row["status"] == "succeeded"
        value = row.get("output") if succeeded else (row.get("error") or {}).get("type", row["status"])
        yield key, [shown["scorer_ref"], group, succeeded, value], size


def _shown(
    partition: int, project_id: str, after: str | None, filters: Filters
) -> Iterator[tuple[str, Shown | None, int]]:
    call_id, ref_wanted, as_of = filters.get("call_id"), filters.get("scorer_ref"), filters.get("as_of")
    parts = [project_id] if call_id is None else [project_id, call_id]
    if call_id is not None and ref_wanted is not None:
        parts.append(ref_wanted)  # one score by its key is one row, however many the call has
    prefix = ids.join_key(*parts) + ids.SEPARATOR
    # No id has control characters, so 0x01 sorts after all occasions and before every other scorer ref.
    behind = None if after is None else after.encode() + b"\x01"
    rows = table.scan(partition, prefix, behind)
    for group, members in groupby(rows, key=lambda item: item[0].rpartition(ids.SEPARATOR)[0]):
        _, call, ref = ids.split_key(group)
        if ref_wanted not in (None, ref):
            yield group.decode(), None, 0
            continue
        size, versions = 0, []
        for key, value in members:
            size += len(value)
            if (row := known_at(decode(value), as_of)) is not None:
                versions.append((ids.split_key(key)[3], row))
        shown = None if not versions else _chosen(partition, call, ref, versions)
        if shown is not None and any(filters.get(name) not in (None, shown["row"].get(name)) for name in _OF_ROW):
            shown = None
        yield group.decode(), shown, size


_OF_ROW = ("status", "op_name")


def _chosen(partition: int, call_id: str, scorer_ref: str, versions: list[tuple[str, Json]]) -> Shown:
    occasion, row, revision = newest(versions)
    return {
        "call_id": call_id,
        "scorer_ref": scorer_ref,
        "occasion": occasion,
        "revision": revision,
        "partition": partition,
        "row": row,
    }


def known_at(row: Json, as_of: float | None) -> Json | None:
    """A row as it was at a time of the log, None if there was none yet."""
    if as_of is None:
        return row
    known = [ended for ended in ends(row) if (ended.get("logged_at") or ended["at"]) <= as_of]
    return {**known[-1], "past": known[:-1]} if known else None


def ends(row: Json) -> list[Json]:
    """The outcomes of all rounds of a row, in order."""
    return [*row.get("past", ()), {name: value for name, value in row.items() if name != "past"}]


def newest(versions: list[tuple[str, Json]]) -> tuple[str, Json, int]:
    """Of the (occasion, row) of one call × scorer ref the newest that succeeded, else the newest, and its revision.

    That is its number among all outcomes in order of time, those of earlier rounds included.
    """
    succeeded = [version for version in versions if version[1]["status"] == "succeeded"]
    occasion, row = max(succeeded or versions, key=lambda version: time_order(version[1]))
    return (
        occasion,
        row,
        sum(time_order(ended) <= time_order(row) for _, version in versions for ended in ends(version)),
    )


def time_order(ended: Json) -> tuple[float, int]:
    """A key that sorts outcomes by time."""
    return ended["at"], ended["offset"]


def _at_path(partition: int, project_id: str, call_id: str, path: str) -> Any:
    row = calls.find(partition, ids.call_key(project_id, call_id))
    found = paths.at(None if row is None else row["call"], path)
    return None if found is paths.ABSENT else found
