"""The calls of every request: one row a chunk, which lies in the partition of its calls."""

from collections.abc import Iterator

from app import ids
from app.events import ScoreRequested
from tables.base import Table

table = Table("chunks")


class Row(ScoreRequested):
    """A chunk and the offset that made the row."""

    offset: int


def fold(row: Row | None, event: ScoreRequested, offset: int) -> Row:
    """The first chunk of a request and number wins."""
    return row or Row(**event.model_dump(), offset=offset)


def load(partition: int, request_id: str, chunk: int) -> Row | None:
    value = table.get_row(partition, ids.chunk_key(request_id, chunk))
    return None if value is None else Row.model_validate_json(value)


def save(partition: int, row: Row) -> None:
    table.put_row(partition, ids.chunk_key(row.request_id, row.chunk), row.model_dump_json().encode())


def of_request(partition: int, request_id: str, from_chunk: int = 0) -> Iterator[Row]:
    """The chunks of a request in this partition, by number, from `from_chunk` on."""
    prefix = request_id.encode() + ids.SEPARATOR
    after = ids.chunk_key(request_id, from_chunk - 1) if from_chunk else None
    for _, value in table.scan(partition, prefix, after):
        yield Row.model_validate_json(value)
