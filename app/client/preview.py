"""A look at a small file before anything of it is imported."""

from collections.abc import Iterator
from dataclasses import replace
from hashlib import blake2b
from itertools import islice
from pathlib import Path

from app.client.errors import BadInput, CommandError
from app.client.fields import Fields
from app.client.importing import batches
from app.client.lines import Line, Source
from app.client.text import clean

_MOST_BYTES = 4 << 20


def look_at(path: str, fields: Fields, limit: int | None = None) -> int:
    """Look at the first `limit` lines of a file before all else, if it is small: how many repeat one before them.

    Raises BadInput if no line has a field that is named: what is imported stays as it is, so that a wrong name could
    not be put right.
    """
    seen = replace(fields, unseen=set(), first=[])
    calls: set[bytes] = set()
    number_of_calls = 0
    try:
        for batch in batches(islice(_lines_of_small(path), limit), seen):
            calls.update(blake2b(call, digest_size=16).digest() for _, call in batch.calls)
            number_of_calls += len(batch.calls)
    except (_Large, CommandError):
        return 0  # what cannot be read is told by the import, of what is behind
    if calls and seen.unseen and limit is None:
        missing = ", ".join(repr(name) for name in sorted(seen.unseen))
        names = clean(", ".join(seen.first), 500)
        raise BadInput(
            f"No line has the field {missing}, so nothing was imported; the first has {names}. "
            "To import it all the same: callscore calls import - < FILE"
        )
    return number_of_calls - len(calls)


class _Large(Exception):
    """More than is looked at before all else."""


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
