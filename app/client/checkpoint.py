"""The progress of an import, stored in the state folder of the user so that it can continue after an interruption."""

import hashlib
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import orjson

_SECONDS_BETWEEN_WRITES = 1.0


@dataclass
class Progress:
    """Everything before `offset`, the end of line `line`, is done."""

    offset: int = 0
    line: int = 0
    imported: int = 0
    rejected: int = 0
    last_call: str | None = None
    """The id of the last call that the service took."""


class Checkpoint:
    """The progress of one import on disk; the file name is a hash of what identifies the import."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._next = time.monotonic() + _SECONDS_BETWEEN_WRITES

    @classmethod
    def of(cls, file: Path, *what: Any) -> Self:
        """The checkpoint of importing this version of the file with these options."""
        stat = file.stat()
        identity = orjson.dumps([str(file.absolute()), stat.st_size, stat.st_mtime_ns, *what])
        return cls(_state_folder() / f"import-{hashlib.blake2b(identity, digest_size=16).hexdigest()}.json")

    def load(self) -> Progress:
        """Where to continue; the start if no usable checkpoint exists."""
        try:
            return Progress(**orjson.loads(self._path.read_bytes()))
        except (OSError, ValueError, TypeError):
            return Progress()

    def save(self, progress: Progress, *, now: bool = False) -> None:
        """Store `progress`, at most once a second unless `now`. If that fails, the next import starts over."""
        if not now and time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _SECONDS_BETWEEN_WRITES
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            draft = self._path.with_suffix(f".{os.getpid()}.tmp")
            draft.write_bytes(orjson.dumps(asdict(progress)))
            draft.replace(self._path)
        except OSError:
            return

    def remove(self) -> None:
        """Delete it: the import is complete, or starts over."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError:
            return


def _state_folder() -> Path:
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "callscore"
