"""Table of what Weave's SDK stores beside calls and objects: files by digest, and feedback by the ref it is on."""

from base64 import b64encode
from typing import Any

from msgspec.json import Decoder

from app import ids
from app.events import FeedbackGiven, FeedbackPurged, FileKept
from app.structs import Struct
from tables.base import Table
from tables.paging import Page, page_of

table = Table("weave")

_FILE, _FEEDBACK = "file", "feedback"


class Row(Struct):
    """Feedback as Weave's views show it; None once purged. The row stays, as the record that gave it may come again."""

    offset: int
    feedback: dict[str, Any] | None


_decode = Decoder(Row).decode


def file_key(project_id: str, digest: str) -> bytes:
    """The partitioning key and row key of a file."""
    return ids.join_key(project_id, _FILE, digest)


def feedback_key(project_id: str, weave_ref: str, feedback_id: str) -> bytes:
    """The row key of one piece of feedback."""
    return ids.join_key(project_id, _FEEDBACK, weave_ref, feedback_id)


def save_file(partition: int, event: FileKept) -> None:
    table.put_row(partition, file_key(event.project_id, event.digest), event.content)


def save_feedback(partition: int, event: FeedbackGiven | FeedbackPurged, offset: int) -> None:
    key = feedback_key(event.project_id, event.weave_ref, event.feedback_id)
    table.put_row(partition, key, fold(table.load(partition, key, _decode), event, offset).encode())


def fold(row: Row | None, event: FeedbackGiven | FeedbackPurged, offset: int) -> Row:
    """The row after `event`. The first feedback under an id counts, also after it was purged."""
    if row is not None and row.offset >= offset:
        return row
    if isinstance(event, FeedbackPurged):
        return Row(offset=offset, feedback=None)
    return Row(offset=offset, feedback=event.feedback) if row is None else row.replace(offset=offset)


# --- queries -------------------------------------------------------------------------------------


def file(partition: int, project_id: str, digest: str) -> str | None:
    """A file as base64, None if there is none."""
    return table.load(partition, file_key(project_id, digest), lambda content: b64encode(content).decode())


def feedback_of(partition: int, after: str | None, rows: int, project_id: str, weave_ref: str) -> Page:
    """The feedback on a ref that was not purged."""
    return _page(partition, after, rows, ids.join_key(project_id, _FEEDBACK, weave_ref))


def feedback_page(partition: int, after: str | None, rows: int, project_id: str) -> Page:
    """The feedback in a project that was not purged, by ref."""
    return _page(partition, after, rows, ids.join_key(project_id, _FEEDBACK))


def _page(partition: int, after: str | None, rows: int, prefix: bytes) -> Page:
    found = table.scan(partition, prefix + ids.SEPARATOR, None if after is None else after.encode())
    return page_of(rows, ((key.decode(), _decode(value).feedback, len(value)) for key, value in found))
