"""Table of records that could not be applied: one row a record, by when it was written and where it lies."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, TypedDict

import msgspec
import orjson
from msgspec import UNSET, UnsetType
from msgspec.json import Decoder

from app import ids, topics
from app.events import DeadLetter, LetterDismissed, LetterEvent, LetterRedriven
from app.structs import Struct
from tables.base import Table
from tables.paging import Looked, Page, page_of

table = Table("dead-letters")

_COUNTED = 10_000  # letters at once
_OF_PROJECTS = (topics.calls.name, topics.scorers.name)  # whose keys begin with the project


class Row(Struct):
    """The letter about a record, and who redrove or dismissed it. `offset` is the letter's own."""

    offset: int
    letter: DeadLetter
    project_id: str | None = None
    redriven: LetterRedriven | None = None
    redriven_offset: int | None = None  # of that event, in the letter's partition
    dismissed: LetterDismissed | UnsetType = UNSET  # left out, as in rows from before letters could be

    def is_open(self) -> bool:
        """Whether it is neither redriven nor dismissed."""
        return self.redriven is None and self.dismissed is UNSET


class _Closing(msgspec.Struct):
    """The few fields that tell whether a letter is open: its record may have a megabyte."""

    redriven: Any = None
    dismissed: Any = UNSET

    def is_open(self) -> bool:
        return self.redriven is None and self.dismissed is UNSET


_decode = Decoder(Row).decode
_closing = Decoder(_Closing).decode
_ID = re.compile(r"\d{15}\..+\.(\d{1,19})\.\d{1,19}", re.ASCII)  # 64 bits have 19 digits


def id_of(letter: DeadLetter) -> str:
    """When the record was written, in milliseconds, and where it lies. Letters sort by id."""
    milliseconds = min(max(0, int((letter.at if letter.logged_at is None else letter.logged_at) * 1000)), 10**15 - 1)
    return f"{milliseconds:015d}.{letter.topic}.{letter.partition}.{letter.offset}"


def is_id(text: str) -> bool:
    """Whether this may be the id of a letter."""
    return _ID.fullmatch(text) is not None


def partition_in(letter_id: str) -> int | None:
    """The partition in an id; None if it is no id."""
    found = _ID.fullmatch(letter_id)
    return None if found is None else int(found[1])


def fold(row: Row | None, event: LetterEvent, offset: int) -> Row | None:
    """The row after an event: the first letter about a record counts, and the first order for a letter."""
    if isinstance(event, DeadLetter):
        return row or Row(offset=offset, letter=event, project_id=_project_of(event))
    if row is None or not row.is_open() or offset < row.offset:
        return row
    if isinstance(event, LetterDismissed):
        return row.replace(dismissed=event)
    return row.replace(redriven=event, redriven_offset=offset)


def load(partition: int, letter_id: str) -> Row | None:
    return table.load(partition, letter_id.encode(), _decode)


def save(partition: int, row: Row) -> None:
    table.put_row(partition, id_of(row.letter).encode(), row.encode())


def newest_first(partition: int, before: str | None) -> Iterator[tuple[str, Row]]:
    """(id, row) of the letters about records of this partition, starting before an id."""
    for key, value in table.scan_back(partition, None if before is None else before.encode()):
        yield key.decode(), _decode(value)


def _project_of(letter: DeadLetter) -> str | None:
    """The project of a record, if it can be found out."""
    key, value = letter.key, letter.value
    with suppress(orjson.JSONDecodeError):
        event = orjson.loads(value or b"")
        if isinstance(event, dict) and isinstance(event.get("project_id"), str):
            return str(event["project_id"])
    if key is not None and letter.topic in _OF_PROJECTS:
        with suppress(ValueError):  # not UTF-8, or not an id
            return ids.check_id(ids.split_key(key)[0])
    return None


# --- queries -------------------------------------------------------------------------------------


class Filters(TypedDict):
    """Filters of letters; None lets all through. Times are Unix seconds, of when the record was written."""

    project_id: str | None
    topic: str | None
    reason: str | None
    since: float | None
    until: float | None
    redriven: bool | None
    dismissed: bool | None


Json = dict[str, Any]


def page(partition: int, before: str | None, rows: int, filters: Filters) -> Page:
    """Letters by id, newest first, without keys and values."""
    until = filters["until"]
    start = None if until is None else f"{int(until * 1000) + 1:015d}"
    if start is not None:
        before = start if before is None else min(start, before)
    return page_of(rows, _matching(partition, before, filters))


def _matching(partition: int, before: str | None, filters: Filters) -> Iterator[Looked]:
    first = "" if filters["since"] is None else f"{int(filters['since'] * 1000):015d}"
    for letter_id, row in newest_first(partition, before):
        if letter_id < first:
            return
        letter = _shown(row)
        yield letter_id, letter if matches(letter, filters) else None, 0


def find_all(partition: int, letter_ids: list[str]) -> list[Json]:
    """Those of these letters that are in this partition, with keys and values."""
    rows = (load(partition, letter_id) for letter_id in letter_ids if partition_in(letter_id) == partition)
    return [_shown(row, True) for row in rows if row is not None]


def count_open(partition: int, after: str | None) -> tuple[int, str | None]:
    """How many letters are open in a slice after this id, and the id to continue after."""
    rows = table.scan(partition, after=None if after is None else after.encode())
    counted = page_of(_COUNTED, ((key.decode(), _closing(value).is_open(), len(value)) for key, value in rows))
    return sum(is_open for _, is_open in counted["items"]), counted["next"]


def matches(letter: Mapping[str, Any], filters: Filters) -> bool:
    """Whether a letter, as a query shows it, passes the filters."""
    since, until = filters["since"], filters["until"]
    at = letter["at"] if letter["logged_at"] is None else letter["logged_at"]
    return (
        all(filters[name] in (None, letter[name]) for name in ("project_id", "topic", "reason"))
        and filters["redriven"] in (None, letter["redriven"] is not None)
        and filters["dismissed"] in (None, letter["dismissed"] is not None)
        and (since is None or at >= since)
        and (until is None or at <= until)
    )


def _shown(row: Row, whole: bool = False) -> Json:
    letter = row.letter
    return {
        **(letter if whole else letter.replace(key=None, value=None)).as_dict(),
        "id": id_of(letter),
        "topic": topics.plain(letter.topic),
        "project_id": row.project_id,
        "bytes": len(letter.key or b"") + len(letter.value or b""),
        "redriven": row.redriven and row.redriven.as_dict(),
        "dismissed": row.dismissed.as_dict() if row.dismissed else None,
    }
