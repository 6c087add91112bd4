"""Table of claims of request ids made from an `Idempotency-Key`: one row each, in the same store as tables/requests."""

from typing import Any

from msgspec.json import Decoder

from app import ids
from app.events import RequestClaimed
from tables.base import first_wins
from tables.requests import table


class Row(RequestClaimed, tag="RequestClaimed"):
    """The first claim of a request id, and the offset that made the row."""

    offset: int


_decode = Decoder(Row).decode
fold = first_wins(Row)


def load(partition: int, request_id: str) -> Row | None:
    return table.load(partition, _key(request_id), _decode)


def save(partition: int, row: Row) -> None:
    table.put_row(partition, _key(row.request_id), row.encode())


def _key(request_id: str) -> bytes:
    return request_id.encode() + ids.SEPARATOR + b"claim"


# --- queries -------------------------------------------------------------------------------------


def find(partition: int, request_id: str) -> dict[str, Any] | None:
    """The first claim of a request id."""
    row = load(partition, request_id)
    return None if row is None else row.as_dict()
