"""Table of what happened to tasks before they ended (see tables/scores): one row an event, kept for ever."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import field
from msgspec.json import Decoder
from msgspec.structs import asdict

from app import ids
from app.events import AttemptFailed, Error, OfTask, ScoreFailed, TaskParked
from app.structs import Struct
from tables import scores
from tables.base import Rows, Table
from tables.paging import Page

table = Table("history")


class Row(Struct, omit_defaults=True):
    """An event of a task."""

    logged_at: float
    event: str
    round: int
    attempts: int
    at: float
    reason: str | None = None  # why it waits
    error: Error | None = None
    next_at: float | None = None  # when the next attempt starts, or waiting is given up
    request_ids: list[str] = field(default_factory=list)
    superseded: bool = False  # an outcome of a round that had one already


_decode = Decoder(Row).decode


def row_of(event: OfTask, logged_at: float) -> Row:
    """The row of an event, without the traceback of its error, which the log has."""
    error = event.error if isinstance(event, AttemptFailed | ScoreFailed) else None
    next_at = event.next_at if isinstance(event, AttemptFailed) else None
    return Row(
        logged_at=logged_at,
        event=type(event).__name__,
        round=event.round,
        attempts=event.attempts,
        at=event.at,
        reason=event.reason if isinstance(event, TaskParked) else None,
        error=error and error.replace(traceback=None),
        next_at=event.until if isinstance(event, TaskParked) else next_at,
        request_ids=sorted({target.request_id for target in event.targets}),
        superseded=isinstance(event, scores.Terminal),
    )


def encode_all(rows: Iterable[tuple[bytes, Row]], offset: int) -> Rows:
    """Rows of the record at `offset`, by task key, as they are stored."""
    found = []
    for number, (key, row) in enumerate(rows):
        place = f"{offset:016d}.{number:04d}".encode()
        found.append((key + ids.SEPARATOR + place, row.encode()))
    return found


def is_place(text: str) -> bool:
    """Whether this may be the place of an event."""
    return re.fullmatch(r"\d{16}\.\d{4,}\..*", text, re.ASCII) is not None


# --- queries -------------------------------------------------------------------------------------

Json = dict[str, Any]


def page(partition: int, after: str | None, rows: int, project_id: str, call_id: str, scorer_ref: str) -> Page:
    """Every event of one call × scorer ref on all its occasions, in the order of the log."""
    prefix = ids.join_key(project_id, call_id, scorer_ref) + ids.SEPARATOR
    events = sorted([*_before_the_end(partition, prefix), *_ends(partition, prefix)], key=lambda item: item[0])
    left = [item for item in events if after is None or item[0] > after]
    return {"items": left[:rows], "next": left[rows - 1][0] if len(left) > rows else None}


def _before_the_end(partition: int, prefix: bytes) -> Iterator[tuple[str, Json]]:
    for key, value in table.scan(partition, prefix):
        *_, occasion, place = ids.split_key(key)
        row = _decode(value)
        offset, _, number = place.partition(".")
        where = {"occasion": occasion, "partition": partition, "offset": int(offset)}
        what = asdict(row) | {"error": row.error and row.error.as_dict()}
        yield _place(int(offset), int(number) + 1, occasion), where | what


def _ends(partition: int, prefix: bytes) -> Iterator[tuple[str, Json]]:
    found = [
        (ids.split_key(key)[3], ended)
        for key, value in scores.table.scan(partition, prefix)
        for ended in scores.ends(scores.decode(value))
    ]
    found.sort(key=lambda item: scores.time_order(item[1]))
    for revision, (occasion, ended) in enumerate(found, 1):
        yield (
            _place(ended["offset"], 0, occasion),
            {"occasion": occasion, "partition": partition, "revision": revision, **ended},
        )


def _place(offset: int, number: int, occasion: str) -> str:
    """Sorts events as they lie in the log."""
    return f"{offset:016d}.{number:04d}.{occasion}"
