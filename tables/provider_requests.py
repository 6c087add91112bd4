"""Table of requests to providers by attempts without an outcome yet: one row a task, deleted with the outcome.

A row that is there when a task starts tells of requests that were cut off, by a kill or because the partition moved.
"""

from collections.abc import Mapping

import orjson
from msgspec.json import Decoder

from tables.base import Rows, Table

table = Table("begun")

Row = tuple[int, int]  # offset of the last record, number of requests

_decode = Decoder(Row).decode


def fold(row: Row | None, number: int, offset: int) -> Row:
    """The row after the record at `offset`, which has `number` more requests."""
    if row is None:
        return offset, number
    return row if row[0] >= offset else (offset, row[1] + number)


def load(partition: int, key: bytes) -> Row | None:
    return table.load(partition, key, _decode)


def cut_off(partition: int, key: bytes) -> int:
    """How many requests of earlier attempts at a task were cut off; to be asked when it starts."""
    row = load(partition, key)
    return 0 if row is None else row[1]


def encode_all(rows: Mapping[bytes, Row | None]) -> Rows:
    """Rows as they are stored; None deletes one."""
    return [(key, None if row is None else orjson.dumps(row)) for key, row in rows.items()]
