"""Table of judgements that may be reused: one row a project and digest of the question, in the call's partition.

Only of scorers with the policy `cache`.
"""

from collections.abc import Mapping
from typing import Any, TypedDict

import orjson

from app import ids
from tables.base import Rows, Table

table = Table("judgements")


class Row(TypedDict):
    """The first answer to a question."""

    offset: int
    output: Any
    call_id: str
    scorer_ref: str


def key(project_id: str, digest: str) -> bytes:
    return ids.join_key(project_id, digest)


def encode_new(rows: Mapping[bytes, Row], partition: int) -> Rows:
    """Rows as they are stored; one that exists already is put again."""
    return [(row_key, table.get_row(partition, row_key) or orjson.dumps(row)) for row_key, row in rows.items()]


# --- queries -------------------------------------------------------------------------------------


def find(partition: int, project_id: str, digest: str) -> Row | None:
    """The judgement in this partition."""
    return table.load(partition, key(project_id, digest), orjson.loads)
