"""A Redis server for a peer, with an append-only file, on a free port."""

import shutil
import subprocess
import time
from pathlib import Path
from typing import Literal

from bench import machine
from kafka import ports

Fsync = Literal["everysec", "always"]  # what a crash may lose: the last second, or nothing


class RedisMissing(Exception):
    """There is no Redis to run; the message says how to get it."""


class RedisServer:
    """`redis-server` with its data in `folder`."""

    def __init__(self, folder: Path, fsync: Fsync) -> None:
        self.fsync = fsync
        self.folder = folder
        (self.port,) = ports.free(1)
        self.url = f"redis://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Raises RedisMissing."""
        command = shutil.which("redis-server")
        if command is None:
            raise RedisMissing(
                "No peer is measured, as there is no redis-server on the PATH (Debian: apt-get install redis-server)."
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        where = ("--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder))
        kept = ("--appendonly", "yes", "--appendfsync", self.fsync, "--save", "")
        with (self.folder / "redis.log").open("wb") as log:
            self._process = subprocess.Popen((command, *where, *kept), stdout=log, stderr=log)
        for _ in range(100):
            if b"Ready to accept connections" in (self.folder / "redis.log").read_bytes():
                return
            time.sleep(0.1)
        raise AssertionError((self.folder / "redis.log").read_text())

    def cpu(self) -> float:
        """CPU seconds used so far."""
        assert self._process is not None
        return machine.cpu_seconds(self._process.pid)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
