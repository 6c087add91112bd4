"""Instance folders: each worker on a machine locks a folder of its own for its tables."""

import fcntl
from pathlib import Path
from typing import IO

from app.settings import SettingsError

LOCK = "lock"  # in each instance folder; contains the url of the last worker in it


def claim_instance(data_dir: Path, url: str) -> tuple[Path, IO[str]]:
    """An instance folder below `data_dir` that no other process has locked, and its lock.

    The last one of the worker at `url`, else the first one.
    """
    known = [folder.name for folder in data_dir.glob("instance-*") if _last_holder(folder) == url]
    for name in (*known, *(f"instance-{number}" for number in range(1024))):
        folder = data_dir / name
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK).open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        lock.truncate(0)
        lock.write(url)
        lock.flush()
        return folder, lock
    raise SettingsError(f"every instance folder below {data_dir} is taken by another process")


def _last_holder(folder: Path) -> str:
    try:
        return (folder / LOCK).read_text()
    except FileNotFoundError:
        return ""
