"""Making directories last."""

import os
from pathlib import Path


def sync(path: Path) -> None:
    """Return once a file, or the entries of a directory, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
