"""Table of what scorers spent: two rows a project, scorer and day, with sums over the attempts in one partition.

One has the cost alone, as workers of the version before know it; the other, which came later, has all amounts. Each
remembers the offset of the last record that it counted, so that none counts twice. In memory only is what this worker
has reserved of each spend cap, which others ask before they reserve.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import orjson

from app import ids
from app.usage import AMOUNTS, Usage
from tables.base import Rows, Table
from tables.paging import Cursors, Looked, Page, page_of

table = Table("spending")

_ROWS = 1_000  # of an answer
_STORED = ("cost", *(name for name in AMOUNTS if name != "cost"))


@dataclass(slots=True)
class Row:
    offset: int = -1
    spent: Usage = field(default_factory=Usage)


def keys(project_id: str, scorer_ref: str, day: int) -> tuple[bytes, bytes]:
    """Of the row with the cost, and of the row with all amounts."""
    return ids.join_key(project_id, scorer_ref, str(day)), ids.join_key(project_id, scorer_ref, str(day), "taken")


def load(partition: int, row_key: bytes) -> Row:
    return table.load(partition, row_key, _decode) or Row()


def encode_all(rows: Mapping[bytes, Row], offset: int) -> Rows:
    """Rows as they are stored after the record at `offset`."""
    for row in rows.values():
        row.offset = max(row.offset, offset)
    return [(row_key, _encode(row, _has_all_amounts(row_key))) for row_key, row in rows.items()]


def _has_all_amounts(row_key: bytes) -> bool:
    return row_key.endswith(b"\0taken")


def _encode(row: Row, whole: bool) -> bytes:
    names = _STORED if whole else _STORED[:1]
    return orjson.dumps([row.offset, *(getattr(row.spent, name) for name in names)])


def _decode(value: bytes) -> Row:
    offset, *amounts = orjson.loads(value)
    return Row(offset, Usage(**dict(zip(_STORED, amounts, strict=False))))


_held: dict[tuple[str, str], int] = {}


def hold(amounts: Mapping[tuple[str, str], int]) -> None:
    """From now on this worker reserves these picodollars, by project id and scorer ref, and none for other scorers."""
    global _held
    _held = dict(amounts)


# --- queries -------------------------------------------------------------------------------------


def spent(partition: int, scorers: list[tuple[str, str]], day: int) -> list[int]:
    """The cost in picodollars of each (project, scorer ref) in this partition on the day that began at `day`."""
    return [load(partition, keys(project_id, ref, day)[0]).spent.cost for project_id, ref in scorers]


def taken(partition: int, scorers: list[tuple[str, str]], day: int) -> list[dict[str, int]]:
    """All amounts of each (project, scorer ref) in this partition on the day that began at `day`."""
    return [load(partition, keys(project_id, ref, day)[1]).spent.as_dict() for project_id, ref in scorers]


def held(partition: int, scorers: list[tuple[str, str]]) -> list[int]:
    """The picodollars that this worker reserves for each (project, scorer ref); any of its partitions may be asked."""
    return [_held.get((project_id, ref), 0) for project_id, ref in scorers]


def by_day(partition: int, cursors: Cursors, project_id: str, since: int, until: int) -> Page:
    """[scorer ref, day, spent] by key, to be summed, of a project's days that began from `since` until before `until`.

    One slice, after this partition's cursor.
    """
    after = cursors[partition]
    if isinstance(after, bool):
        return {"items": [], "next": None}
    return page_of(_ROWS, _of_days(partition, after, project_id, since, until))


def _of_days(partition: int, after: str | None, project_id: str, since: int, until: int) -> Iterator[Looked]:
    behind = None if after is None else after.encode()
    for row_key, value in table.scan(partition, ids.join_key(project_id, ""), behind):
        _, ref, day, *_ = ids.split_key(row_key)
        if since <= int(day) < until:
            amounts = _decode(value).spent
            if _has_all_amounts(row_key):
                amounts = amounts.replace(cost=0)  # which is in a row of its own
            yield row_key.decode(), [ref, int(day), amounts.as_dict()], 0
        else:
            yield row_key.decode(), None, 0
