"""The folder in which a service keeps everything, its disk, and how many files may be open on it."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryFile
from time import perf_counter

import tables.folds  # noqa: F401  (so that all tables are known)
from app import open_files as files
from app.embedded.room import SPARE_BYTES
from app.instance import LOCK
from app.settings import Settings
from app.upkeep.checkup.finding import Finding, ok, warning, wrong
from tables.base import tables as all_tables

_ROOM_BYTES = 1024**3  # less is soon used up
_SYNCS = 15
_SYNC_BYTES = 4_096
_SLOW_SECONDS = 0.02
_DATA = "data folder"


def findings(settings: Settings) -> Iterator[Finding]:
    """Whether the data folder is there or can be made, its disk, and which workers have it."""
    yield from disk(_DATA, settings.data_dir.absolute())
    for folder, url in holders(settings.data_dir):
        yield ok(_DATA, f"{folder.name} is in use by the worker at {url}.")


def disk(about: str, folder: Path) -> Iterator[Finding]:
    """Whether a folder can be written, or be made, how much room it has and how long a sync takes there."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir():
        yield wrong(about, f"{there} is not a folder: move it away, or name another folder")
        return
    try:
        sync = _sync_seconds(there)
    except OSError as error:
        yield wrong(about, f"{there} cannot be written ({error.strerror}): see to its disk and its owner")
        return
    for part in (*folder.glob("instance-*"), *folder.glob("log")):
        if not os.access(part, os.R_OK | os.W_OK | os.X_OK):
            yield wrong(about, f"{part} belongs to another user: start the service as that one, or give it to this one")
    free = shutil.disk_usage(there).free
    if free < SPARE_BYTES:
        yield wrong(about, f"The disk of {there} is full ({_mebibytes(free)} are free): make room")
    elif free < _ROOM_BYTES:
        yield warning(about, f"The disk of {there} has only {_mebibytes(free)} left: make room.")
    else:
        made = "can be written" if there == folder else "is not there yet: the first start makes it"
        yield ok(about, f"{folder} {made} ({_mebibytes(free)} are free).")
    if sync > _SLOW_SECONDS:
        yield warning(
            about,
            f"A sync of {there} takes {1000 * sync:.0f} ms, and each answer waits for one: use a disk that is faster.",
        )
    else:
        yield ok(about, f"A sync takes {1000 * sync:.1f} ms.")


def holders(data_dir: Path) -> list[tuple[Path, str]]:
    """The instance folders that workers have now, and the urls of these."""
    return [
        (folder, (folder / LOCK).read_text())
        for folder in sorted(data_dir.glob("instance-*"))
        if (folder / LOCK).is_file() and _is_held(folder / LOCK)
    ]


def open_files(settings: Settings) -> Iterator[Finding]:
    """Whether this process, and so one that is started as it is, may have as many files open as a worker needs."""
    lacks = files.shortage(len(all_tables) * settings.partitions)
    if lacks is None:
        yield ok("open files", f"A process may have {files.limit():,}.")
    elif settings.embedded:
        yield wrong("open files", lacks[0].upper() + lacks[1:])
    else:  # other workers may have most of the partitions
        yield warning("open files", f"{lacks[0].upper()}{lacks[1:]}.")


def _is_held(lock: Path) -> bool:
    with lock.open("rb") as opened:  # a lock that is taken here is let go of at once
        try:
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _sync_seconds(folder: Path) -> float:
    """The median of some writes to a file without a name. Raises OSError."""
    sync = getattr(os, "fdatasync", os.fsync)  # which macOS lacks
    took = []
    with TemporaryFile(dir=folder, buffering=0) as probe:
        for _ in range(_SYNCS):
            probe.write(bytes(_SYNC_BYTES))
            began = perf_counter()
            sync(probe.fileno())
            took.append(perf_counter() - began)
    return median(took)


def _mebibytes(size: int) -> str:
    return f"{size // 1024**2:,} MiB"
