"""Table of the calls of every request: one row a chunk, in the partition of its calls.

A further row for each scorer of a chunk finds the chunks that name a scorer. That is cheap: it is not one a task.
"""

from collections.abc import Iterator

import orjson
from msgspec.json import Decoder

from app import ids
from app.events import ScoreRequested
from tables.base import Table, first_wins

table = Table("chunks")


class Row(ScoreRequested, tag="ScoreRequested"):
    """A chunk and the offset that made the row."""

    offset: int


_decode = Decoder(Row).decode
fold = first_wins(Row)


def load(partition: int, request_id: str, chunk: int) -> Row | None:
    return table.load(partition, ids.chunk_key(request_id, chunk), _decode)


def save(partition: int, row: Row) -> None:
    table.put_row(partition, ids.chunk_key(row.request_id, row.chunk), row.encode())
    if row.call_ids:
        span = orjson.dumps([min(row.call_ids), max(row.call_ids)])
        for ref in row.scorer_refs:
            table.put_row(partition, _of_scorer(row.project_id, ref) + ids.chunk_key(row.request_id, row.chunk), span)


def _of_scorer(project_id: str, scorer_ref: str) -> bytes:
    """Prefix of the rows that find a scorer's chunks; no request id starts with it."""
    return ids.SEPARATOR + ids.join_key(project_id, scorer_ref) + ids.SEPARATOR


def of_request(partition: int, request_id: str, from_chunk: int = 0) -> Iterator[Row]:
    """The chunks of a request in this partition, by number, from `from_chunk` on."""
    prefix = request_id.encode() + ids.SEPARATOR
    after = ids.chunk_key(request_id, from_chunk - 1) if from_chunk else None
    for _, value in table.scan(partition, prefix, after):
        yield _decode(value)


def naming(partition: int, project_id: str, scorer_ref: str, first: str, last: str) -> Iterator[Row | None]:
    """The chunks that name a scorer and may have calls from `first` to `last`; None in place of others."""
    prefix = _of_scorer(project_id, scorer_ref)
    for key, span in table.scan(partition, prefix):
        lowest, highest = orjson.loads(span)
        if highest < first or lowest > last:
            yield None
        else:
            row = table.load(partition, key.removeprefix(prefix), _decode)
            assert row is not None, "a chunk has all of its rows"
            yield row


# --- queries -------------------------------------------------------------------------------------


def is_named(partition: int, project_id: str, scorer_ref: str) -> bool:
    """Whether any chunk of the project names the scorer."""
    return any(True for _ in table.scan(partition, _of_scorer(project_id, scorer_ref)))
