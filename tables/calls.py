"""Table of logged calls: one row a call, merged from its start and its end.

A call can be read and scored once its end is logged. The first of each part wins; a later one is ignored if it adds
nothing, else refused as a rewrite. So the row does not depend on how often or in which order parts are delivered,
unless both are too large together: then the later one is refused.
"""

from collections.abc import Iterator
from typing import Any, Literal

import msgspec
import orjson

from app import ids
from app.events import CallLogged, Error
from app.rocks import MIB
from tables.base import Table, caches, successor
from tables.paging import Looked, Page, page_of

MAX_CALL_BYTES = MIB

Verdict = Literal["stored", "unchanged", "call_rewritten", "call_too_large"]
Row = dict[str, Any]  # {"offset", "parts": {"start" | "end": digest}, "call": the merged call}

table = Table("calls")


def encode(call: dict[str, Any]) -> bytes:
    """A call in its canonical form: the same call, the same bytes."""
    return orjson.dumps(call, option=orjson.OPT_SORT_KEYS)


def merge(row: Row | None, event: CallLogged, offset: int) -> tuple[Row | None, Verdict]:
    """The row after `event` at `offset`, and the verdict on the event."""
    row = row or {"offset": offset, "parts": {}, "call": {}}
    part = "start" if event.part == "start" else "end"
    # Who logged it is not part of the call: a colleague may log it again.
    content = {name: value for name, value in event.call.items() if name != "wb_user_id"}
    digest = ids.digest(encode(content).decode())
    # A null counts as absent, except as the output of an end: the call ended without one.
    present = {
        name: value for name, value in event.call.items() if value is not None or (name, part) == ("output", "end")
    }
    known = row["parts"].get(part)
    if known is not None:
        return row, "unchanged" if known == digest or _adds_nothing(present, row["call"]) else "call_rewritten"
    call = {**row["call"], **present} if part == "end" else {**present, **row["call"]}
    merged = {"offset": offset, "parts": {**row["parts"], part: digest}, "call": call}
    if len(encode(call)) > MAX_CALL_BYTES:
        return (row if row["parts"] else None), "call_too_large"
    return merged, "stored"


def _adds_nothing(present: dict[str, Any], call: dict[str, Any]) -> bool:
    """Whether the call has all of this: it may be logged again as it is read, or in the other part."""
    given = {name: value for name, value in present.items() if name != "wb_user_id"}
    return encode(given) == encode({name: call.get(name) for name in given})


def load(partition: int, key: bytes) -> Row | None:
    return table.load(partition, key, orjson.loads)


def save(partition: int, key: bytes, row: Row) -> None:
    _recent.pop((partition, key), None)
    table.put_row(partition, key, orjson.dumps(row))


def ended(row: Row | None) -> bool:
    """Whether the end of the call is logged."""
    return row is not None and "end" in row["parts"]


def named(project_id: str, call_id: str) -> dict[str, Any]:
    """A call reduced to its project and id."""
    return {"project_id": project_id, "id": call_id}


class _Parts(msgspec.Struct):
    """A row without the call, which takes long to decode."""

    parts: dict[str, str]


_parts = msgspec.json.Decoder(_Parts).decode


# What scoring read last, (row, its size) by partition and key: each scorer of a request reads the same calls.
_recent: dict[tuple[int, bytes], tuple[Row, int]] = {}
caches.append(_recent.clear)
_RECENT_ROWS, _RECENT_BYTES = 1_024, 16 * 1024


def find_sized(partition: int, key: bytes) -> tuple[Row | None, int]:
    """`find`, and the size of the row in bytes. The row is shared: do not change it."""
    known = _recent.get((partition, key))
    if known is not None:
        return known
    value = table.get_row(partition, key)
    if value is None:
        return None, 0
    row: Row = orjson.loads(value)
    if not ended(row):
        return None, len(value)
    if len(value) <= _RECENT_BYTES:
        if len(_recent) >= _RECENT_ROWS:
            del _recent[next(iter(_recent))]
        _recent[partition, key] = row, len(value)
    return row, len(value)


def without_output(call: dict[str, Any]) -> Error | None:
    """Why no scorer can run on the call, if it ended with an exception and without output."""
    if call.get("exception") is None or call.get("output") is not None:
        return None
    return Error(type="call_has_no_output", message="the call ended with an exception and no output")


def find(partition: int, key: bytes) -> Row | None:
    """The row of a call that has ended, else None."""
    row = load(partition, key)
    return row if ended(row) else None


def of_project(partition: int, project_id: str, after: bytes | None = None) -> Iterator[tuple[bytes, Row]]:
    """(key, row) of a project's calls that have ended, by call id."""
    for key, value in table.scan(partition, ids.join_key(project_id) + ids.SEPARATOR, after):
        row = orjson.loads(value)
        if ended(row):
            yield key, row


# --- queries -------------------------------------------------------------------------------------


def find_call(partition: int, project_id: str, call_id: str) -> dict[str, Any] | None:
    """A call that has ended."""
    row = find(partition, ids.call_key(project_id, call_id))
    return None if row is None else row["call"]


def page(partition: int, after: str | None, rows: int, project_id: str, ids_only: bool = False) -> Page:
    """A project's calls that have ended, by call key; with `ids_only` only `named`."""
    return page_of(rows, _listed(partition, after, project_id, ids_only))


def _listed(partition: int, after: str | None, project_id: str, ids_only: bool) -> Iterator[Looked]:
    prefix = ids.join_key(project_id) + ids.SEPARATOR
    for key, value in table.scan(partition, prefix, None if after is None else after.encode()):
        if ids_only:
            call = named(project_id, ids.split_key(key)[-1]) if "end" in _parts(value).parts else None
            yield key.decode(), call, 0
        else:
            row = orjson.loads(value)
            yield key.decode(), row["call"] if ended(row) else None, len(value)


def projects(partition: int, after: str | None, rows: int) -> Page:
    """Projects with calls, by id: each is found by one step over its calls."""
    return page_of(rows, ((project_id, {"project_id": project_id}, 0) for project_id in _projects(partition, after)))


def _projects(partition: int, after: str | None) -> Iterator[str]:
    last = after
    while (row := next(table.scan(partition, after=_behind(last)), None)) is not None:
        last = ids.split_key(row[0])[0]
        yield last


def _behind(project_id: str | None) -> bytes | None:
    """A key behind all calls of a project."""
    return None if project_id is None else successor(ids.join_key(project_id) + ids.SEPARATOR)
