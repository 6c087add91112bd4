"""What scorers spent: two rows a project, scorer and day, with the sums of what attempts took in one partition.

One has the cost alone, as workers of before there was the other read and write it; that one has all that was taken
since there is it. Each remembers the offset of the last record that it took in, so that none counts twice. Which
scorers have reached their cap is in memory only: it follows from these rows, and workers tell each other, so that all
of them say so. So is what this worker holds of what is left, which others ask before they take of it.
"""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson

from app import ids
from app.spent import AMOUNTS, Spent
from tables.base import Rows, Table
from tables.paging import Page, Slice

table = Table("spending")

_ROWS = 1_000  # of an answer
_STORED = ("cost", *(name for name in AMOUNTS if name != "cost"))


@dataclass(slots=True)
class Row:
    offset: int = -1
    spent: Spent = field(default_factory=Spent)


def keys(project_id: str, scorer_ref: str, day: int) -> tuple[bytes, bytes]:
    """Of the row with the cost, and of the one with all that was taken."""
    return ids.join_key(project_id, scorer_ref, str(day)), ids.join_key(project_id, scorer_ref, str(day), "taken")


def load(partition: int, row_key: bytes) -> Row:
    value = table.get_row(partition, row_key)
    return Row() if value is None else _decode(value)


def encode_all(rows: Mapping[bytes, Row], offset: int) -> Rows:
    """Rows as they are stored, which have taken in the record at `offset`."""
    for row in rows.values():
        row.offset = max(row.offset, offset)
    return [(row_key, _encode(row, _has_all(row_key))) for row_key, row in rows.items()]


def _has_all(row_key: bytes) -> bool:
    return row_key.endswith(b"\0taken")


def _encode(row: Row, whole: bool) -> bytes:
    names = _STORED if whole else _STORED[:1]
    return orjson.dumps([row.offset, *(getattr(row.spent, name) for name in names)])


def _decode(value: bytes) -> Row:
    offset, *amounts = orjson.loads(value)
    return Row(offset, Spent(**dict(zip(_STORED, amounts, strict=False))))


# --- caps ----------------------------------------------------------------------------------------


@dataclass(slots=True)
class Cap:
    """What a worker says of the cap of a scorer in a project; what was said last holds. Times are Unix seconds."""

    project_id: str
    scorer_ref: str
    said_at: float
    reached: bool
    usd: float
    since: float
    until: float


_caps: dict[tuple[str, str], Cap] = {}


def say(project_id: str, scorer_ref: str, usd: float, until: float, reached: bool) -> None:
    """Note whether a cap is reached, if that is news."""
    where, now = (project_id, scorer_ref), time.time()
    known = _caps.get(where)
    before = known is not None and known.reached and known.until > now
    if before == reached and (known is None or not reached or known.usd == usd):
        return
    _caps[where] = Cap(project_id, scorer_ref, now, reached, usd, now, until)


def reached(project_id: str, scorer_ref: str) -> Cap | None:
    """The cap that keeps the tasks of a scorer in a project from being started now."""
    cap = _caps.get((project_id, scorer_ref))
    return cap if cap is not None and cap.reached and cap.until > time.time() else None


def to_tell() -> list[dict[str, Any]]:
    """What other workers have to know."""
    now = time.time()
    return [asdict(cap) for cap in _caps.values() if cap.until > now]


# --- what this worker holds ----------------------------------------------------------------------

_held: dict[tuple[str, str], int] = {}


def hold(amounts: Mapping[tuple[str, str], int]) -> None:
    """From now on this worker may spend so many picodollars, by project id and scorer ref, and for no other scorer."""
    global _held
    _held = dict(amounts)


# --- queries -------------------------------------------------------------------------------------


def hear(partition: int, told: list[dict[str, Any]]) -> bool:
    """What another worker tells."""
    for cap in (Cap(**one) for one in told):
        where = (cap.project_id, cap.scorer_ref)
        known = _caps.get(where)
        if known is None or known.said_at < cap.said_at:
            _caps[where] = cap
    return True


def spent(partition: int, scorers: list[tuple[str, str]], day: int) -> list[int]:
    """What each (project, scorer ref) cost in this partition on the day that began then, in picodollars."""
    return [load(partition, keys(project_id, ref, day)[0]).spent.cost for project_id, ref in scorers]


def taken(partition: int, scorers: list[tuple[str, str]], day: int) -> list[dict[str, int]]:
    """All that each (project, scorer ref) took in this partition on the day that began then."""
    return [load(partition, keys(project_id, ref, day)[1]).spent.as_dict() for project_id, ref in scorers]


def held(partition: int, scorers: list[tuple[str, str]]) -> list[int]:
    """What this worker holds of the cap of each (project, scorer ref), in picodollars; any of its partitions may be
    asked."""
    return [_held.get((project_id, ref), 0) for project_id, ref in scorers]


def by_day(partition: int, cursors: list[str | bool | None], project_id: str, since: int, until: int) -> Page:
    """What each scorer of a project spent in this partition on each day that began from `since` until before `until`.

    [scorer ref, day, spent] by key, to be summed. A slice, from this partition's cursor on (None: the beginning, False:
    nothing is left).
    """
    found = Slice(_ROWS)
    after = cursors[partition]
    if isinstance(after, bool):
        return found.page(None)
    behind = None if after is None else after.encode()
    for row_key, value in table.scan(partition, ids.join_key(project_id, ""), behind):
        _, ref, day, *_ = ids.split_key(row_key)
        if since <= int(day) < until:
            took = _decode(value).spent
            apart = took.replace(cost=0) if _has_all(row_key) else took  # the cost is in a row of its own
            found.add(row_key.decode(), [ref, int(day), apart.as_dict()])
        if found.full():
            return found.page(row_key.decode())
    return found.page(None)
