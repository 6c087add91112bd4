"""A consistent copy of a log, also while it is in use."""

import shutil
from pathlib import Path

from rocksdict import Checkpoint, Rdict

from .errors import LogNotCopied, NoLog
from .store import is_log, open_database


def checkpoint_place(log: Path) -> Path:
    """Where a checkpoint of a log is made: beside it, on the same file system, so that files can be shared."""
    return log.with_name(f"{log.name}.checkpoint")


def checkpoint(database: Rdict, path: Path) -> None:
    """Copy what the database holds now to `path`; immutable files are hard links.

    An existing directory is replaced. The time is that of flushing the write buffer, about 16 MiB at most.

    Raises:
        LogNotCopied: the copy cannot be made.
    """
    shutil.rmtree(path, ignore_errors=True)
    try:
        Checkpoint(database).create_checkpoint(str(path))
    except Exception as exc:  # rocksdict raises bare Exception
        raise LogNotCopied(path, exc) from exc


def checkpoint_of(log: Path, path: Path) -> None:
    """Make a checkpoint of a log that no process has open.

    Raises:
        NoLog, LogLocked, LogUnavailable, LogFormatMismatch, LogBlockCorrupt, LogUnreadable: it cannot be opened.
        LogNotCopied: the copy cannot be made.
    """
    if not is_log(log):
        raise NoLog(log)
    database = open_database(log)
    try:
        checkpoint(database, path)
    finally:
        database.close()
