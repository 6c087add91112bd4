"""Accepted requests: one row a request, its header."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from app.events import RequestAccepted
from tables.base import Table
from tables.paging import Page, Slice

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


# --- queries -------------------------------------------------------------------------------------


def find(partition: int, request_id: str) -> dict[str, Any] | None:
    """The header of a request."""
    row = load(partition, request_id)
    return None if row is None else row.model_dump()


def page(partition: int, before: str | None, rows: int, project_id: str | None, globs: list[str]) -> Page:
    """Headers by request id, newest first, of one project (None: all) and only of projects that a glob matches."""
    found = Slice(rows)
    for row in newest_first(partition, None if before is None else before.encode()):
        wanted = project_id is None or row.project_id == project_id
        if wanted and any(fnmatchcase(row.project_id, glob) for glob in globs):
            found.add(row.request_id, row.model_dump())
        if found.full():
            return found.page(row.request_id)
    return found.page(None)
