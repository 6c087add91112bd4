"""Judgements that may be used again: one row a project and digest of what a judge was asked, in its call's partition.

Only of scorers that are published with the policy `cache`.
"""

from collections.abc import Mapping
from typing import Any, TypedDict

import orjson

from app import ids
from tables.base import Table

table = Table("judgements")


class Row(TypedDict):
    """The first judgement that was given."""

    offset: int
    output: Any
    call_id: str
    scorer_ref: str


def key(project_id: str, digest: str) -> bytes:
    return ids.join_key(project_id, digest)


def save_all(partition: int, rows: Mapping[bytes, Row]) -> None:
    """Keep judgements, where there is none already; the same one is put again."""
    table.write(partition, [(key, table.get_row(partition, key) or orjson.dumps(row)) for key, row in rows.items()])


# --- queries -------------------------------------------------------------------------------------


def find(partition: int, project_id: str, digest: str) -> Row | None:
    """The judgement that this partition has."""
    value = table.get_row(partition, key(project_id, digest))
    return None if value is None else orjson.loads(value)
