"""The data folder of a service, its disk, and the limit of open files."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryFile
from time import perf_counter

import tables.folds  # noqa: F401  (so that all tables are known)
from app import instance
from app import open_files as files
from app.embedded.room import SPARE_BYTES
from app.faust_app import app
from app.settings import Settings
from app.upkeep.doctor.finding import Finding, ok, warning, wrong

_FEW_BYTES = 1024**3
_SYNCS = 15
_SYNC_BYTES = 4_096
_SLOW_SECONDS = 0.02
_SUBJECT = "data folder"


def findings(settings: Settings) -> Iterator[Finding]:
    """Check the data folder and its disk, and list the workers that use it."""
    yield from disk(_SUBJECT, settings.data_dir.absolute())
    for folder, url in holders(settings.data_dir):
        yield ok(_SUBJECT, f"{folder.name} is used by the worker at {url}.")


def disk(subject: str, folder: Path) -> Iterator[Finding]:
    """Check that a folder can be written or made, its free space, and the time of a sync."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not existing.is_dir():
        yield wrong(subject, f"{existing} is not a folder. Move it, or choose another folder")
        return
    try:
        sync = _sync_seconds(existing)
    except OSError as error:
        yield wrong(subject, f"{existing} cannot be written ({error.strerror}). Check its disk and its owner")
        return
    for part in (*instance.folders(folder), *folder.glob("log")):
        if not os.access(part, os.R_OK | os.W_OK | os.X_OK):
            yield wrong(subject, f"{part} belongs to another user. Start the service as that user, or change the owner")
    free = shutil.disk_usage(existing).free
    if free < SPARE_BYTES:
        yield wrong(subject, f"The disk of {existing} is full ({_mebibytes(free)} free). Free some space")
    elif free < _FEW_BYTES:
        yield warning(subject, f"The disk of {existing} has only {_mebibytes(free)} free. Free some space.")
    else:
        state = "is writable" if existing == folder else "does not exist yet; the first start creates it"
        yield ok(subject, f"{folder} {state} ({_mebibytes(free)} free).")
    if sync > _SLOW_SECONDS:
        yield warning(
            subject,
            f"A sync of {existing} takes {1000 * sync:.0f} ms, and every write waits for one. Use a faster disk.",
        )
    else:
        yield ok(subject, f"A sync takes {1000 * sync:.1f} ms.")


def holders(data_dir: Path) -> list[tuple[Path, str]]:
    """The instance folders that are in use, each with the URL of its worker."""
    return [
        (folder, (folder / instance.LOCK).read_text())
        for folder in instance.folders(data_dir)
        if (folder / instance.LOCK).is_file() and _is_held(folder / instance.LOCK)
    ]


def open_files(settings: Settings) -> Iterator[Finding]:
    """Check that this process, and so a worker started in the same way, may open enough files."""
    lacks = files.shortage(len(app.tables) * settings.partitions)
    if lacks is None:
        yield ok("open files", f"The limit is {files.limit():,}.")
    elif settings.embedded:
        yield wrong("open files", lacks[0].upper() + lacks[1:])
    else:  # this worker may own only some of the partitions
        yield warning("open files", f"{lacks[0].upper()}{lacks[1:]}.")


def _is_held(lock: Path) -> bool:
    with lock.open("rb") as opened:  # closing the file releases the lock
        try:
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _sync_seconds(folder: Path) -> float:
    """The median time of some writes to an unnamed file. Raises OSError."""
    sync = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync
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
