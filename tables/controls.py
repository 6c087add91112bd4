"""What was asked of requests after they were accepted: one row a request and partition, with all its controls."""

import asyncio
from collections import defaultdict

from msgspec import field
from msgspec.json import Decoder

from app import topics
from app.events import Control, RequestCancelled
from app.positions import positions
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


# --- queries -------------------------------------------------------------------------------------

_under_way: defaultdict[tuple[int, str], set["asyncio.Future[None]"]] = defaultdict(set)


def begin(partition: int, request_id: str) -> "asyncio.Future[None]":
    """A control is going to change the progress of its request; the future is to be resolved once it has."""
    changed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    where = (partition, request_id)
    _under_way[where].add(changed)

    def forget(_: object) -> None:
        _under_way[where].discard(changed)
        if not _under_way[where]:
            del _under_way[where]

    changed.add_done_callback(forget)
    return changed


async def in_effect(partition: int, request_id: str, offsets: list[int]) -> bool:
    """Wait until the progress of a request shows the control that lies at this partition's offset."""
    await positions.reached(topics.controls.name, partition, offsets[partition])
    if waiting := _under_way.get((partition, request_id)):
        await asyncio.wait(list(waiting))
    return True
