"""What was asked of requests after they were accepted: one row a request and partition, with all its controls."""

from msgspec import field
from msgspec.json import Decoder

from app.events import Control, RequestCancelled
from app.structs import Struct
from tables.base import Table

table = Table("controls")


class Numbered(Struct):
    """A control and the offset that brought it; its number is its place in the row, from 1 on."""

    offset: int
    control: Control


class Row(Struct):
    """The controls of a request in the order in which this partition got them."""

    controls: list[Numbered] = field(default_factory=list)

    @property
    def cancelled(self) -> bool:
        """Whether nothing of the request is to be started any more."""
        return bool(self.controls) and isinstance(self.controls[-1].control, RequestCancelled)

    def after(self, number: int) -> list[tuple[int, Control]]:
        """(number, control) of those behind a number."""
        return [(at, item.control) for at, item in enumerate(self.controls, 1) if at > number]

    def number_at(self, offset: int) -> int | None:
        """The number of the control that an offset brought; None if it brought one that was there already."""
        return next((at for at, item in enumerate(self.controls, 1) if item.offset == offset), None)


_decode = Decoder(Row).decode


def fold(row: Row | None, control: Control, offset: int) -> Row:
    """The row after a control; each is taken once, by its id."""
    row = row or Row()
    if any(known.control.control_id == control.control_id for known in row.controls):
        return row
    return Row(controls=[*row.controls, Numbered(offset=offset, control=control)])


def load(partition: int, request_id: str) -> Row | None:
    value = table.get_row(partition, request_id.encode())
    return None if value is None else _decode(value)


def is_cancelled(partition: int, request_id: str) -> bool:
    """Whether nothing of a request is to be started any more."""
    row = load(partition, request_id)
    return row is not None and row.cancelled


def last(partition: int, request_id: str) -> int:
    """The number of the newest control of a request, 0 if it has none."""
    row = load(partition, request_id)
    return 0 if row is None else len(row.controls)


def save(partition: int, request_id: str, row: Row) -> None:
    table.put_row(partition, request_id.encode(), row.encode())
