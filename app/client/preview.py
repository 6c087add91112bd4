"""Checking a small file before any of it is imported."""

from collections.abc import Iterator
from hashlib import blake2b
from itertools import islice
from pathlib import Path

from app.client.batches import batches
from app.client.errors import BadInput, CommandError
from app.client.fields import Fields, Seen
from app.client.lines import Line, Source
from app.client.text import clean

_MOST_BYTES = 4 << 20


def look_at(path: str, fields: Fields, limit: int | None = None) -> int:
    """Check the first `limit` lines of a file, if it is small. Returns how many repeat an earlier one.

    Raises BadInput if no line has a named field: imported calls cannot be changed, so it could not be corrected later.
    """
    seen = Seen(fields)
    calls: set[bytes] = set()
    number_of_calls = 0
    try:
        for batch in batches(islice(_lines_of_small(path), limit), fields, seen):
            calls.update(blake2b(call, digest_size=16).digest() for _, call in batch.calls)
            number_of_calls += len(batch.calls)
    except (_Large, CommandError):
        return 0  # the import itself reports what cannot be read
    if calls and seen.missing and limit is None:
        missing = ", ".join(repr(name) for name in sorted(seen.missing))
        names = clean(", ".join(seen.first), 500)
        raise BadInput(
            f"No line has the field {missing}, so nothing was imported. The first line has: {names}. "
            "To import the file anyway: callscore calls import - < FILE"
        )
    return number_of_calls - len(calls)


class _Large(Exception):
    """The file is too large to be checked, or is not a regular file."""


def _lines_of_small(path: str) -> Iterator[Line]:
    if path == "-" or not Path(path).is_file():
        raise _Large
    source = Source.open(path)
    try:
        for line in source.lines():
            if line.offset > _MOST_BYTES:
                raise _Large
            yield line
    finally:
        source.close()
