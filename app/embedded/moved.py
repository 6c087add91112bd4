"""Logs where earlier versions kept them, which took `,`, `;`, `#`, `?` and `%41` in a path for parts of a URL."""

import re
from pathlib import Path

from yarl import URL

from .errors import LogElsewhere
from .store import is_log
from .view import View


def check(path: Path) -> None:
    """Return if there is no log where earlier versions kept the one of `path`, or the one at `path` has records.

    Raises:
        LogElsewhere: otherwise.
        LogUnavailable, LogFormatMismatch, LogBlockCorrupt: what lies at `path` cannot be opened.
    """
    before = Path(URL(re.split("[,;]", f"embedded://{path}")[0]).path)
    if before != path and is_log(before) and not _has_records(path):
        raise LogElsewhere(path, before)


def _has_records(path: Path) -> bool:
    """Whether it has any: earlier versions made the topics, and nothing more, in some of the right places too."""
    if not is_log(path):
        return False
    with View(path) as view:
        return any(partition.end for topic in view.topics.values() for partition in topic.partitions)
