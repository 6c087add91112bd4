"""Requests to providers of attempts that have no outcome yet: one row a task, gone with the outcome.

What is there when a task is run was cut off, by a kill or because its partition moved.
"""

from collections.abc import Mapping

import orjson

from tables.base import Rows, Table

table = Table("begun")

Row = tuple[int, int]  # offset of the last record, requests that have begun


def fold(row: Row | None, number: int, offset: int) -> Row:
    """The row after the record at `offset`, which tells of so many more requests that have begun."""
    if row is None:
        return offset, number
    return row if row[0] >= offset else (offset, row[1] + number)


def load(partition: int, key: bytes) -> Row | None:
    value = table.get_row(partition, key)
    if value is None:
        return None
    offset, attempts = orjson.loads(value)
    return offset, attempts


def encode_all(rows: Mapping[bytes, Row | None]) -> Rows:
    """Rows as they are stored; None deletes one."""
    return [(key, None if row is None else orjson.dumps(row)) for key, row in rows.items()]
