"""A small disk of a test's own, which it can really fill."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

MIB = 1024**2
_MOUNT = 'mount -t tmpfs -o size="$1"m tmpfs "$2" && echo mounted && exec cat'


class Disk:
    """A mounted file system at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filler = path / "filler"

    def free(self) -> int:
        """Bytes that can still be written."""
        return shutil.disk_usage(self.path).free

    def fill(self, leave: int = 0) -> None:
        """Write until only `leave` bytes are free."""
        with self._filler.open("ab", buffering=0) as filler:
            try:
                while (size := min(MIB, self.free() - leave)) > 0:
                    filler.write(bytes(size))
            except OSError:
                return  # somebody else was quicker

    def empty(self) -> None:
        """Give back what `fill` took."""
        self._filler.unlink()


@pytest.fixture
def make_disk(tmp_path: Path) -> Iterator[Callable[[int], Disk]]:
    """Makes disks of so many MiB in memory, in a mount namespace of their own: that needs no privileges."""
    holders: list[subprocess.Popen[bytes]] = []

    def make(size: int) -> Disk:
        point = tmp_path / f"disk-{len(holders)}"
        point.mkdir()
        command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", _MOUNT, "sh", str(size), str(point)]
        try:
            holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        except OSError as error:
            pytest.skip(f"no disk can be mounted: {error}")
        holders.append(holder)
        assert holder.stdout is not None
        assert holder.stderr is not None
        if holder.stdout.readline() != b"mounted\n":
            pytest.skip(f"no disk can be mounted: {holder.stderr.read().decode().strip()}")
        return Disk(Path(f"/proc/{holder.pid}/root{point}"))

    yield make
    for holder in holders:
        holder.communicate()  # it ends with its input, and the disk with it
