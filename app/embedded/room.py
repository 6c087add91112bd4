"""Whether there is room to open databases after a failed write: opening one writes the records of its WAL again."""

import errno
import os
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryFile

SPARE_BYTES = 16 * 1024**2  # beyond what opening writes, so that the disk is not full again at once


def check_room(folders: Iterable[Path]) -> None:
    """Return if every RocksDB below these folders has room to be opened, and the disks can be written and synced.

    Raises:
        OSError: otherwise.
    """
    needed: Counter[int] = Counter()
    folder_on: dict[int, Path] = {}  # by device
    for folder in folders:
        device = folder.stat().st_dev
        folder_on[device] = folder
        needed[device] += sum(wal.stat().st_size for wal in folder.rglob("*.log"))
    for device, folder in folder_on.items():
        with TemporaryFile(dir=folder, buffering=0) as probe:
            _allocate(probe.fileno(), folder, needed[device] + SPARE_BYTES)
            probe.write(b"\0")
            os.fsync(probe.fileno())


def _allocate(descriptor: int, folder: Path, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    elif shutil.disk_usage(folder).free < size:  # macOS has no posix_fallocate
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
