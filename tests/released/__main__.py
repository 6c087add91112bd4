"""Writes the log and the answers of this version."""

import tempfile
from pathlib import Path

from tests.released import folder_of_this_version, write

with tempfile.TemporaryDirectory() as made:
    write(folder_of_this_version(), Path(made) / "data")
print(f"{folder_of_this_version()} is written; commit it with the release.")
