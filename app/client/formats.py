"""Telling JSON lines from what is often taken for them."""

import re
from collections.abc import Iterator
from itertools import chain, islice

from app.client.errors import BadInput
from app.client.lines import Line

_ARRAY = re.compile(rb"\s*\[\s*(\{|$)")
_OBJECT = re.compile(rb"\s*\{")
_FIRST_OF_MANY = re.compile(rb"\s*\{\s*$")
_CSV = re.compile(rb"[\w\" .-]+(?:([,;\t])[\w\" .-]+)+$")
_DELIMITERS = {b",": "", b";": ', delimiter=";"', b"\t": ', delimiter="\\t"'}
_FROM_CSV = (
    'import csv, json; [print(json.dumps(row)) for row in csv.DictReader(open(0, encoding="utf-8-sig", newline=""){})]'
)


def checked(lines: Iterator[Line], name: str) -> Iterator[Line]:
    """The lines of a source from its beginning.

    Raises BadInput if they begin like a JSON array, like an object on many lines, or like CSV.
    """
    first = list(islice(lines, 2))
    texts = [line.data for line in first]
    if None not in texts and (wrong := _other_format([text for text in texts if text is not None])) is not None:
        found, convert = wrong
        raise BadInput(f"{name} {found}, so nothing was imported. Convert it to one object per line: {convert}")
    yield from chain(first, lines)


def _other_format(first: list[bytes]) -> tuple[str, str] | None:
    """What the first two lines show that the source is, and the command that converts it."""
    if not first:
        return None
    head, *rest = first
    if _ARRAY.match(head) and not any(map(_ARRAY.match, rest)):
        return "is one JSON array", "jq -c '.[]' FILE"
    if _FIRST_OF_MANY.match(head) and rest and not _OBJECT.match(rest[0]):
        return "has objects of many lines", "jq -c . FILE"
    if rest and (found := _CSV.match(head)) and found[1] in rest[0] and not _OBJECT.match(rest[0]):
        return "looks like CSV", f"python3 -c '{_FROM_CSV.format(_DELIMITERS[found[1]])}' < FILE"
    return None
