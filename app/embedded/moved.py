"""Logs in other directories: earlier versions read `,`, `;`, `#`, `?` and `%41` in a path as parts of a URL."""

import re
from pathlib import Path

from yarl import URL

from .errors import LogElsewhere
from .store import is_log
from .view import View


def check(path: Path) -> None:
    """Return if earlier versions did not keep the log of `path` elsewhere, or if the one at `path` has records.

    Raises:
        LogElsewhere: otherwise.
        LogUnavailable, LogFormatMismatch, LogBlockCorrupt: the log at `path` cannot be opened.
    """
    before = Path(URL(re.split("[,;]", f"embedded://{path}")[0]).path)
    if before != path and is_log(before) and not _has_records(path):
        raise LogElsewhere(path, before)


def _has_records(path: Path) -> bool:
    """Whether the log has any: in some cases earlier versions created only the topics in the right directory."""
    if not is_log(path):
        return False
    with View(path) as view:
        return any(partition.end for topic in view.topics.values() for partition in topic.partitions)
