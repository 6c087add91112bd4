"""Whether databases that could not be written can be opened again: opening one writes what is in its WAL once more."""

import errno
import os
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryFile

SPARE_BYTES = 16 * 1024**2  # beyond what opening writes, so that going on is worth it


def check_room(folders: Iterable[Path]) -> None:
    """Return if there is room to open every RocksDB below these folders, and the disks can be written and synced.

    Raises:
        OSError: there is not, or they cannot; it says so.
    """
    needed: Counter[int] = Counter()
    one: dict[int, Path] = {}  # a folder of each device
    for folder in folders:
        device = folder.stat().st_dev
        one[device] = folder
        needed[device] += sum(wal.stat().st_size for wal in folder.rglob("*.log"))
    for device, folder in one.items():
        with TemporaryFile(dir=folder, buffering=0) as probe:
            _allocate(probe.fileno(), folder, needed[device] + SPARE_BYTES)
            probe.write(b"\0")
            os.fsync(probe.fileno())


def _allocate(descriptor: int, folder: Path, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    elif shutil.disk_usage(folder).free < size:  # macOS lacks the former
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
