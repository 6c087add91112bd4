"""Tests keep their files in memory where there is plenty of it.

A service that starts opens a database for each table and partition, and a disk takes ten times as long to sync them as
all the rest. What a power cut leaves is shown by `tests.faults` on any file system; `make soak` runs on the disk.
"""

import os
import shutil
import tempfile
from pathlib import Path

from tests.length import at_length

FOLDER = Path("/dev/shm")
ROOM = 8 * 1024**3  # as much as four runs leave


def keep_in_memory() -> None:
    """Have temporary files made in memory, by this process and by those that it starts; `TMPDIR` wins."""
    if "TMPDIR" not in os.environ and at_length(_there_is_room(), False):
        os.environ["TMPDIR"] = tempfile.tempdir = str(FOLDER)


def _there_is_room() -> bool:
    if not FOLDER.is_dir() or os.statvfs(FOLDER).f_flag & os.ST_NOEXEC:  # some tests run programs that they make
        return False
    return shutil.disk_usage(FOLDER).free > ROOM
