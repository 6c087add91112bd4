"""Batches of calls: made of the lines of a file, and sent."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import quote

from app.client.errors import Refused
from app.client.fields import BadLine, Fields, NoOutput, Seen
from app.client.lines import MAX_LINE_BYTES, Line

MAX_BATCH_CALLS = 200
MAX_BATCH_BYTES = 4 << 20
_ABOUT_AN_ITEM = (400, 413, 422)
_NOWHERE = Line(0, None, 0, 0)

T = TypeVar("T")


@dataclass
class Batch:
    """Consecutive lines: the calls to send, and the lines that cannot become calls, with their line numbers."""

    calls: list[tuple[int, bytes]] = field(default_factory=list)
    bad: list[tuple[int, str]] = field(default_factory=list)
    without_output: set[int] = field(default_factory=set)
    """Those of the bad lines that lack the output."""
    size: int = 0
    last: Line = _NOWHERE


def batches(lines: Iterator[Line], fields: Fields, seen: Seen) -> Iterator[Batch]:
    """Group lines into batches of at most MAX_BATCH_CALLS lines and MAX_BATCH_BYTES of calls."""
    batch = Batch()
    for line in lines:
        try:
            if line.data is None:
                raise BadLine(f"too large: the line has more than {MAX_LINE_BYTES:,} bytes")
            call = fields.call(line.data, seen)
        except BadLine as error:
            batch.bad.append((line.number, str(error)))
            if isinstance(error, NoOutput):
                batch.without_output.add(line.number)
        else:
            if batch.size + len(call) + 1 > MAX_BATCH_BYTES:
                yield batch
                batch = Batch()
            batch.calls.append((line.number, call))
            batch.size += len(call) + 1
        batch.last = line
        if len(batch.calls) + len(batch.bad) >= MAX_BATCH_CALLS:
            yield batch
            batch = Batch()
    if batch.last.number:
        yield batch


def path_of(project: str) -> str:
    """Where complete calls of a project are posted to."""
    entity, _, name = project.partition("/")
    return f"/v2/{quote(entity, safe='')}/{quote(name, safe='')}/calls/complete"


async def send(
    post: Callable[[str, bytes], Awaitable[object]], path: str, items: list[tuple[T, bytes]]
) -> list[tuple[T, str]]:
    """Post the items as a batch and return the names of those that are refused, and why.

    They are found by bisection, so sending an item again must be safe.
    """
    if not items:
        return []
    try:
        await post(path, b'{"batch":[' + b",".join(item for _, item in items) + b"]}")
    except Refused as error:
        if error.status not in _ABOUT_AN_ITEM:
            raise
        if len(items) == 1:
            return [(items[0][0], error.reason)]
        half = len(items) // 2
        return await send(post, path, items[:half]) + await send(post, path, items[half:])
    return []
