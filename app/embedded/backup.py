"""A copy of a log that is whole, whenever it is made."""

import shutil
from pathlib import Path

from rocksdict import Checkpoint, Rdict

from .errors import LogUnavailable, NoLog
from .store import is_log, open_database


def checkpoint_place(log: Path) -> Path:
    """Where a checkpoint is made: beside the log, on the same file system, so that files can be shared."""
    return log.with_name(f"{log.name}.checkpoint")


def checkpoint(database: Rdict, path: Path) -> None:
    """Make a directory at `path` with all that the database holds now; files that never change are shared.

    What is there already is replaced. Takes as long as writing out what is in memory, at most some 16 MiB.

    Raises:
        LogUnavailable: it cannot be made.
    """
    shutil.rmtree(path, ignore_errors=True)
    try:
        Checkpoint(database).create_checkpoint(str(path))
    except Exception as exc:  # rocksdict raises bare Exception
        raise LogUnavailable(path, exc) from exc


def checkpoint_of(log: Path, path: Path) -> None:
    """The same, of a log that no process has open.

    Raises:
        NoLog, LogLocked, LogUnavailable, LogFormatMismatch: it cannot be opened, or the copy cannot be made.
    """
    if not is_log(log):
        raise NoLog(log)
    database = open_database(log)
    try:
        checkpoint(database, path)
    finally:
        database.close()
