"""Table of cancels and retries: one row a request with what they amount to, and two rows a control.

A request may be cancelled and retried any number of times, so each control has a row of its own, under its number, and
one under its id, which shows whether it is known already.
"""

from msgspec import field
from msgspec.json import Decoder, encode

from app import ids
from app.events import Control, RequestCancelled
from app.structs import Struct
from tables.base import Rows, Table

table = Table("controls")
MAX_BYTES = 2 * 1024**2  # of a control, so that its row fits into a record; the views accept far less


class Numbered(Struct):
    """A control and the offset that brought it."""

    offset: int
    control: Control


class Row(Struct):
    """What the controls of a request amount to in this partition."""

    offset: int = -1  # of the last one
    number: int = 0  # of the last one, counted from 1 in the order of this partition's log
    cancelled: bool = False  # nothing more of the request is to be started
    retried_at: float = 0.0  # when the last retry was requested
    controls: list[Numbered] = field(default_factory=list)  # in rows from before controls had rows of their own


_decode = Decoder(Row).decode
_decode_numbered = Decoder(Numbered).decode
_decode_taken = Decoder(tuple[int, int]).decode  # offset and number


def fold(row: Row | None, control: Control, offset: int) -> Row:
    """The row after a new control."""
    row = row or Row()
    if row.offset >= offset:
        return row
    row = row.replace(offset=offset, number=row.number + 1)
    if isinstance(control, RequestCancelled):
        return row.replace(cancelled=True)
    return row.replace(cancelled=False, retried_at=max(row.retried_at, control.asked_at))


def save(partition: int, control: Control, offset: int) -> int | None:
    """Put the rows of a control; returns its number, None if it is known from another offset."""
    request_id = control.request_id
    row = load(partition, request_id) or Row()
    if row.controls:
        before = [(number, item.control, item.offset) for number, item in enumerate(row.controls, 1)]
        table.write(partition, [put for item in before for put in _rows_of(*item)])
        row = row.replace(controls=[])
    taken_at, number = table.load(partition, _id_key(control), _decode_taken) or (offset, row.number + 1)
    if taken_at != offset:
        return None
    # The head comes last, since it gives the next number: a kill may keep later rows out of the changelog.
    head = (request_id.encode(), fold(row, control, offset).encode())
    table.write(partition, [*_rows_of(number, control, offset), head])
    return number


def load(partition: int, request_id: str) -> Row | None:
    """What the controls of a request amount to, None if it has none."""
    row = head = table.load(partition, request_id.encode(), _decode)
    if row is None:
        return None
    for item in row.controls:
        head = fold(head, item.control, item.offset)
    return head


def get(partition: int, request_id: str, number: int) -> Control:
    """The control with a number from 1 to that of the last one."""
    numbered = table.load(partition, _number_key(request_id, number), _decode_numbered)
    if numbered is not None:
        return numbered.control
    row = load(partition, request_id)
    assert row is not None
    return row.controls[number - 1].control


def is_cancelled(partition: int, request_id: str) -> bool:
    """Whether nothing more of a request is to be started."""
    row = load(partition, request_id)
    return row is not None and row.cancelled


def last(partition: int, request_id: str) -> int:
    """The number of the newest control of a request, 0 if it has none."""
    row = load(partition, request_id)
    return 0 if row is None else row.number


def _rows_of(number: int, control: Control, offset: int) -> Rows:
    return [
        (_number_key(control.request_id, number), Numbered(offset=offset, control=control).encode()),
        (_id_key(control), encode((offset, number))),
    ]


def _number_key(request_id: str, number: int) -> bytes:
    return ids.join_key(request_id, f"{number:010d}")


def _id_key(control: Control) -> bytes:
    return ids.join_key(control.request_id, "id", control.control_id)
