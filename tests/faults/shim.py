"""File calls of a real process, made to fail or recorded: see `shim.c`."""

import errno
import mmap
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from enum import IntFlag
from pathlib import Path
from typing import NamedTuple

import pytest

_control = struct.Struct("@iiiiqq")
_entry = struct.Struct("<c3xIQQ")


class Calls(IntFlag):
    """What can be made to fail."""

    WRITE = 1
    SYNC = 2
    OPEN = 4
    NAME = 8
    TRUNCATE = 16


READ_ONLY = Calls.WRITE | Calls.OPEN | Calls.NAME | Calls.TRUNCATE


class Entry(NamedTuple):
    """A change: o(pened anew), w(ritten), s(ynced), r(enamed), u(nlinked) or t(runcated)."""

    call: str
    path: str
    offset: int
    size: int
    data: bytes  # written, or the new path


class Shim:
    """The shim for a process with this `environment`: it watches one folder."""

    def __init__(self, library: Path, folder: Path, place: Path) -> None:
        self._journal = place / "journal"
        control = place / "control"
        control.write_bytes(bytes(_control.size))
        with control.open("r+b") as file:
            self._control = mmap.mmap(file.fileno(), _control.size)
        self.environment = os.environ | {
            "LD_PRELOAD": str(library),
            "FAULTS_UNDER": str(folder),
            "FAULTS_CONTROL": str(control),
        }

        self._folder = folder
        self.fail_in("log")

    def fail_in(self, folder: str) -> None:
        """Only calls in this folder of the watched one may fail; for processes that are started from now on."""
        self.environment["FAULTS_IN"] = str(self._folder / folder)

    def record(self) -> None:
        """Keep a journal of every change."""
        self.environment["FAULTS_JOURNAL"] = str(self._journal)

    def fail(self, calls: Calls, error: int = errno.EIO, *, after: int = 0, torn: bool = False) -> None:
        """Let `after` more of these calls succeed, and then all fail, until `heal`."""
        self._control[:] = _control.pack(0, error, torn, 0, after, 0)
        self._control[:4] = struct.pack("@i", calls)

    def heal(self) -> None:
        self._control[:4] = bytes(4)

    @property
    def failed(self) -> int:
        """How many calls have failed."""
        return int(_control.unpack(self._control[:])[5])

    @property
    def left(self) -> int:
        """How many calls may still succeed; negative when some have failed."""
        return int(_control.unpack(self._control[:])[4])

    def journal(self) -> Iterator[Entry]:
        """What was recorded, in order."""
        raw, at = self._journal.read_bytes(), 0
        while at < len(raw):
            call, path, offset, size = _entry.unpack_from(raw, at)
            at += _entry.size
            name = raw[at : at + path].decode()
            at += path
            data = raw[at : at + size] if call in b"wr" else b""
            at += len(data)
            yield Entry(call.decode(), name, offset, size, data)


@pytest.fixture(scope="session")
def shim_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler for the shim that makes file calls fail")
    library = tmp_path_factory.mktemp("shim") / "shim.so"
    source = Path(__file__).with_name("shim.c")
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl", "-lpthread"], check=True)
    return library


@pytest.fixture
def shim(shim_library: Path, tmp_path: Path) -> Shim:
    """A shim for the folder `watched` in the test's own."""
    (tmp_path / "watched").mkdir()
    return Shim(shim_library, tmp_path / "watched", tmp_path)
