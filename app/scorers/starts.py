"""Signals to the event loop that a scorer starts to run in a worker process."""

import asyncio
import errno
import itertools
import os
import secrets
import struct
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_RUN_ID = struct.Struct("<Q")
_NAME = "starts-"


class StartSignals:
    """A named pipe into which worker processes write the ids of the runs that they start.

    Without it a time-out would also count the start of the process and the import of the scorer's module.

    It is made in `folder`, which no other process uses and where pipes of killed services are removed. If that cannot
    hold pipes, it is made in a temporary folder, which a kill leaves behind.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        made = None if folder is None else _pipe_in(folder)
        if made is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="callscore-")
            made = _new_pipe(Path(self._temporary.name))
        self.path = str(made)
        # Opened for writing too, or reading would end whenever no worker has the pipe open.
        self._pipe = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)
        self._ids = itertools.count(1)
        self._expected: dict[int, Callable[[], None]] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._pipe, self._read)

    def close(self) -> None:
        """Remove the pipe."""
        self._loop.remove_reader(self._pipe)
        os.close(self._pipe)
        Path(self.path).unlink(missing_ok=True)
        if self._temporary is not None:
            self._temporary.cleanup()

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


def _pipe_in(folder: Path) -> Path | None:
    """A new pipe in `folder`, after removing those that nobody reads any more; None if it cannot hold pipes."""
    try:
        for old in folder.glob(f"{_NAME}*"):
            if not _is_read(old):
                old.unlink()
        return _new_pipe(folder)
    except OSError:
        return None  # some file systems have none


def _new_pipe(folder: Path) -> Path:
    # A unique name, since worker processes keep pipes open by name.
    path = folder.absolute() / f"{_NAME}{secrets.token_hex(8)}"
    os.mkfifo(path, mode=0o600)
    return path


def _is_read(pipe: Path) -> bool:
    try:
        os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
    except OSError as error:
        return error.errno != errno.ENXIO
    return True


class StartAnnouncer:
    """The worker process's end of the pipe."""

    def __init__(self) -> None:
        self._pipes: dict[str, int] = {}

    def announce(self, path: str, run_id: int) -> None:
        """Announce that run `run_id` starts. Raises OSError if the pipe is gone."""
        pipe = self._pipes.get(path)
        if pipe is None:
            pipe = self._pipes[path] = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        os.write(pipe, _RUN_ID.pack(run_id))
