"""Telling the event loop when a scorer starts to run in a worker process."""

import asyncio
import itertools
import os
import shutil
import struct
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_RUN_ID = struct.Struct("<Q")


class StartSignals:
    """A named pipe into which worker processes write the ids of the runs that they start.

    Without it a time-out would also count the start of the process and the import of the scorer's module.
    """

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="callscore-")
        self.path = str(Path(self._folder) / "starts")
        os.mkfifo(self.path, mode=0o600)
        # Open for writing too, or the pipe would be at its end whenever no worker has it open.
        self._pipe = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)
        self._ids = itertools.count(1)
        self._expected: dict[int, Callable[[], None]] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._pipe, self._read)

    def close(self) -> None:
        """Remove the pipe."""
        self._loop.remove_reader(self._pipe)
        os.close(self._pipe)
        shutil.rmtree(self._folder, ignore_errors=True)

    @contextmanager
    def expecting(self, started: Callable[[], None]) -> Iterator[int]:
        """A run id; `started` is called on the event loop when a worker announces it."""
        run_id = next(self._ids)
        self._expected[run_id] = started
        try:
            yield run_id
        finally:
            self._expected.pop(run_id, None)

    def _read(self) -> None:
        try:
            data = os.read(self._pipe, 1_000 * _RUN_ID.size)
        except BlockingIOError:
            return
        for (run_id,) in _RUN_ID.iter_unpack(data):
            started = self._expected.pop(run_id, None)
            if started is not None:
                started()


class StartAnnouncer:
    """The worker process's end of the pipe."""

    def __init__(self) -> None:
        self._pipes: dict[str, int] = {}

    def announce(self, path: str, run_id: int) -> None:
        """Say that run `run_id` starts. Raises OSError if the pipe has gone."""
        pipe = self._pipes.get(path)
        if pipe is None:
            pipe = self._pipes[path] = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        os.write(pipe, _RUN_ID.pack(run_id))
