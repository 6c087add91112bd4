"""Table of accepted requests: one row a request, its header, and one that finds it by time.

Request ids need not sort by time: one made from an `Idempotency-Key` is a hash.
"""

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

import msgspec
from msgspec.json import Decoder

from app import cluster, ids
from app.events import RequestAccepted
from tables.base import Table, first_wins, successor
from tables.paging import Page, page_of

table = Table("requests")
# Prefixes of the rows that find a request by time: one that a client made, or one of a rule. No request id starts so.
_BY_TIME, _OF_RULE = ids.SEPARATOR, b"\x01"


class Row(RequestAccepted, tag="RequestAccepted"):
    """A request's header and the offset that made the row."""

    offset: int

    @property
    def place(self) -> str:
        """Its place among all requests: by microsecond, then by id."""
        return f"{int(self.requested_at * 1e6):017d}.{self.request_id}"


_decode = Decoder(Row).decode
fold = first_wins(Row)


def is_place(text: str) -> bool:
    """Whether this may be the place of a request."""
    return re.match(r"\d{17}\..", text, re.ASCII) is not None


def load(partition: int, request_id: str) -> Row | None:
    return table.load(partition, request_id.encode(), _decode)


def save(partition: int, row: Row) -> None:
    table.put_row(partition, row.request_id.encode(), row.encode())
    table.put_row(partition, _by_time(row.rule_id) + row.place.encode(), row.request_id.encode())


def _by_time(rule_id: str | None) -> bytes:
    return _BY_TIME if rule_id is None else _OF_RULE + rule_id.encode() + ids.SEPARATOR


def newest_first(partition: int, before: str | None = None, rule_id: str | None = None) -> Iterator[Row]:
    """The requests of clients, or of a rule, in this partition, newest first, starting before a place."""
    prefix = _by_time(rule_id)
    start = successor(prefix) if before is None else prefix + before.encode()
    for key, request_id in table.scan_back(partition, start):
        if not key.startswith(prefix):
            return
        row = load(partition, request_id.decode())
        assert row is not None, "a request has both rows"
        yield row


async def find_header(request_id: str) -> RequestAccepted | None:
    """The header of a request, from its owner. Raises cluster.Unavailable if that cannot answer now."""
    found = await cluster.owner(find, request_id.encode(), request_id)
    return None if found is None else msgspec.convert(found, RequestAccepted)


# --- queries -------------------------------------------------------------------------------------


def find(partition: int, request_id: str) -> dict[str, Any] | None:
    """The header of a request."""
    row = load(partition, request_id)
    return None if row is None else row.as_dict()


def page(
    partition: int,
    before: str | None,
    rows: int,
    project_id: str | None,
    globs: list[str],
    rule_id: str | None = None,
) -> Page:
    """Headers by their place, newest first, of one project (None: of all), if a glob matches the project.

    They are of requests that clients made, or of those of one rule.
    """

    def is_wanted(row: Row) -> bool:
        return project_id in (None, row.project_id) and any(fnmatchcase(row.project_id, glob) for glob in globs)

    found = newest_first(partition, before, rule_id)
    return page_of(rows, ((row.place, row.as_dict() if is_wanted(row) else None, 0) for row in found))
