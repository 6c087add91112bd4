"""What scorers cost: one row a project, scorer and day, with the sum of what was spent in one partition.

Each row remembers the offset of the last record that it took in, so that none counts twice. Which scorers have reached
their cap is in memory only: it follows from these rows, and workers tell each other, so that all of them say so. So is
what this worker holds of what is left, which others ask before they take of it.
"""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from app import ids
from tables.base import Rows, Table

table = Table("spending")


@dataclass(slots=True)
class Row:
    """The cost is in picodollars."""

    offset: int = -1
    cost: int = 0


def key(project_id: str, scorer_ref: str, day: int) -> bytes:
    return ids.join_key(project_id, scorer_ref, str(day))


def load(partition: int, row_key: bytes) -> Row:
    value = table.get_row(partition, row_key)
    return Row() if value is None else Row(*orjson.loads(value))


def encode_all(rows: Mapping[bytes, Row], offset: int) -> Rows:
    """Rows as they are stored, which have taken in the record at `offset`."""
    for row in rows.values():
        row.offset = max(row.offset, offset)
    return [(row_key, orjson.dumps([row.offset, row.cost])) for row_key, row in rows.items()]


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
    return [load(partition, key(project_id, ref, day)).cost for project_id, ref in scorers]


def held(partition: int, scorers: list[tuple[str, str]]) -> list[int]:
    """What this worker holds of the cap of each (project, scorer ref), in picodollars; any of its partitions may be
    asked."""
    return [_held.get((project_id, ref), 0) for project_id, ref in scorers]
