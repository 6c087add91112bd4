"""Accepted requests: one row a request, its header."""

from collections.abc import Iterator

from app.events import RequestAccepted
from tables.base import Table

table = Table("requests")


class Row(RequestAccepted):
    """A request's header and the offset that made the row."""

    offset: int


def fold(row: Row | None, event: RequestAccepted, offset: int) -> Row:
    """The first header of a request wins."""
    return row or Row(**event.model_dump(), offset=offset)


def load(partition: int, request_id: str) -> Row | None:
    value = table.get_row(partition, request_id.encode())
    return None if value is None else Row.model_validate_json(value)


def save(partition: int, row: Row) -> None:
    table.put_row(partition, row.request_id.encode(), row.model_dump_json().encode())


def newest_first(partition: int, before: bytes | None = None) -> Iterator[Row]:
    """The requests in this partition, newest first (request ids sort by time), older than `before`."""
    for _, value in table.scan_back(partition, before):
        yield Row.model_validate_json(value)
