"""Flushing to disk."""

import os
from pathlib import Path


def fsync(path: Path) -> None:
    """Flush a file, or the entries of a directory. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
