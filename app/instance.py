"""Instance folders: each worker on a machine locks a folder of its own for its tables."""

import fcntl
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from uuid import uuid4

from app.fsync import fsync

LOCK = "lock"  # in each instance folder; contains the url of the last worker in it
LOG_ID = "log-id"  # in each instance folder; says of which log its tables are
_NAME = re.compile(r"instance-\d+")
DATA_DIR_ID = "id"  # in the data folder; random, so that no worker of another machine has it


class FolderUnusable(Exception):
    """The data folder cannot be used; the message says why."""

    def __init__(self, folder: Path, error: OSError) -> None:
        super().__init__(
            f"The data folder {folder.absolute()} cannot be used ({error.strerror}: {error.filename or folder}): "
            "check its disk and its owner, or set another CALLSCORE_DATA_DIR."
        )


class AllTaken(Exception):
    """Other processes have locked all instance folders."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(
            f"Every instance folder below {data_dir.absolute()} is taken by another process: set another "
            "CALLSCORE_DATA_DIR."
        )


@dataclass(frozen=True)
class Instance:
    """A worker's folder, as long as `lock` is open."""

    folder: Path
    id: str  # no other instance folder has it, on any machine
    lock: IO[str]

    @property
    def tables(self) -> Path:
        """Where the tables are."""
        return self.folder / "tables"

    def use_for(self, log_id: str) -> bool:
        """Delete the tables if they are of another log; returns whether they were.

        Tables of a version that did not note their log count as those of this one.

        Raises:
            FolderUnusable: a file cannot be read, written or deleted.
        """
        noted = self.folder / LOG_ID
        try:
            found = noted.read_text() if noted.exists() else log_id
            if found != log_id:  # its tables go first, so that a kill in between leaves none that seem to be of this
                shutil.rmtree(self.tables)
                self.tables.mkdir()
                fsync(self.folder)
            if found != log_id or not noted.exists():
                noted.write_text(log_id)
        except OSError as error:
            raise FolderUnusable(self.folder.parent, error) from error
        return found != log_id


def folders(data_dir: Path) -> list[Path]:
    """The instance folders below `data_dir`; one that was put aside under another name is none."""
    return sorted(folder for folder in data_dir.glob("instance-*") if _NAME.fullmatch(folder.name))


def claim_instance(data_dir: Path, url: str) -> Instance:
    """An instance folder below `data_dir` that no other process has locked.

    The last one of the worker at `url`, else the first one.

    Raises:
        FolderUnusable: the data folder cannot be made, read or written.
        AllTaken: other processes have all of them.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        known = [folder.name for folder in folders(data_dir) if _last_holder(folder) == url]
        for name in (*known, *(f"instance-{number}" for number in range(1024))):
            if (lock := _lock(data_dir / name, url)) is not None:
                (data_dir / name / "tables").mkdir(exist_ok=True)
                return Instance(data_dir / name, f"{name}-{_data_dir_id(data_dir)}", lock)
    except OSError as error:
        raise FolderUnusable(data_dir, error) from error
    raise AllTaken(data_dir)


def _lock(folder: Path, url: str) -> IO[str] | None:
    folder.mkdir(exist_ok=True)
    lock = (folder / LOCK).open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    lock.truncate(0)
    lock.write(url)
    lock.flush()
    return lock


def _last_holder(folder: Path) -> str:
    try:
        return (folder / LOCK).read_text()
    except FileNotFoundError:
        return ""


def _data_dir_id(data_dir: Path) -> str:
    with (data_dir / DATA_DIR_ID).open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # workers may start at the same time
        file.seek(0)
        if not (found := file.read()):
            found = uuid4().hex
            file.write(found)
    return found
