"""API keys: a file of hashed keys, one JSON object a line.

    {"user": "ann", "projects": ["acme/*"], "sha256": "9f86d0…"}

`projects` are globs over project ids (`*` also matches `/`). A key is 32 random bytes, so nobody can guess one and a
plain SHA-256 is enough: slow hashes are for passwords that people choose.
"""

import hashlib
import hmac
import logging
import os
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app import ids

logger = logging.getLogger(__name__)

_PREFIX = "cs_"
_ID_CHARACTERS = 12


class KeyFileError(Exception):
    """The key file cannot be used; the message is one sentence that says where and why."""


@dataclass(frozen=True, slots=True)
class User:
    """Who calls, and the project globs that the key may use. `name` is None where no keys are asked for."""

    name: str | None
    projects: tuple[str, ...]

    def may_use(self, project_id: str) -> bool:
        return any(fnmatchcase(project_id, glob) for glob in self.projects)

    def may_use_all(self) -> bool:
        """Whether the key is for every project, as publishing for all of them requires."""
        return "*" in self.projects


ANYONE = User(None, ("*",))


class Key(NamedTuple):
    """A key of the file. The id, the start of its hash, names it without telling it."""

    id: str
    user: str
    projects: tuple[str, ...]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    user: str = Field(min_length=1)
    projects: list[str] = Field(min_length=1)
    sha256: str = Field(pattern=re.compile(r"^[0-9a-f]{64}$"))

    @property
    def key(self) -> Key:
        return Key(self.sha256[:_ID_CHARACTERS], self.user, tuple(self.projects))


def add_key(path: Path, user: str, projects: Iterable[str]) -> str:
    """Append a new key for `user` to the file, which is created (readable by its owner only) if needed.

    Returns:
        The key itself, which is stored nowhere.

    Raises:
        KeyFileError: the user or a glob is empty or not printable, or the file cannot be written.
    """
    globs = list(projects)
    try:
        for text in (user, *globs):
            ids.check_id(text)
    except ids.BadId as error:
        raise KeyFileError(f"A user or project {error}.") from None
    if not globs:
        raise KeyFileError("A key needs at least one project glob, '*' for all.")
    key = _PREFIX + secrets.token_urlsafe(32)
    entry = _Entry(user=user, projects=globs, sha256=_hash(key))
    try:
        _append(path, entry.model_dump_json().encode())
    except OSError as error:
        raise KeyFileError(f"The key file {path} cannot be written: {error.strerror}.") from error
    return key


def _append(path: Path, line: bytes) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        # One write, so that neither a reader nor another writer sees half a line.
        os.write(descriptor, (b"\n" if torn else b"") + line + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def list_keys(path: Path) -> list[Key]:
    """The keys of the file, in its order. Raises KeyFileError."""
    return [entry.key for entry in _read(path)]


def remove_key(path: Path, key_id: str) -> Key:
    """Withdraw the key with an id.

    Raises:
        KeyFileError: there is no such key, or the file cannot be used.
    """
    found = [(offset, line, entry.key) for offset, line, entry in _lines(path) if entry.key.id == key_id]
    if not found:
        raise KeyFileError(f"The key file {path} has no key {key_id!r}.")
    for offset, line, _ in found:
        # Blank lines are skipped. Nothing moves, so a key that is added meanwhile is not lost.
        _overwrite(path, offset, b" " * len(line))
    return found[0][2]


def _overwrite(path: Path, offset: int, line: bytes) -> None:
    try:
        with path.open("r+b", buffering=0) as file:
            os.pwrite(file.fileno(), line, offset)
            os.fsync(file.fileno())
    except OSError as error:
        raise KeyFileError(f"The key file {path} cannot be written: {error.strerror}.") from error


class KeyFile:
    """The keys of a file, read again whenever it changes. If it becomes invalid, that is logged and the last keys stay.

    Raises:
        KeyFileError: on creation, if the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen = self._stamp()  # first, so that a change while the file is read is seen
        self._entries = _read(path)

    def user_for(self, key: str) -> User | None:
        """The user of a key; None if it is unknown. Takes the same time whichever key matches."""
        self._refresh()
        hashed = _hash(key)
        found = None
        for entry in self._entries:
            if hmac.compare_digest(entry.sha256, hashed) and found is None:
                found = entry
        return None if found is None else User(found.user, tuple(found.projects))

    def _refresh(self) -> None:
        stamp = self._stamp()
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            self._entries = _read(self.path)
        except KeyFileError as error:
            logger.error("%s The keys read before stay in force.", error)

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino


def _read(path: Path) -> list[_Entry]:
    return [entry for _, _, entry in _lines(path)]


def _lines(path: Path) -> list[tuple[int, bytes, _Entry]]:
    """The offset, the text without its end, and the entry of each line that is not blank."""
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except OSError as error:
        raise KeyFileError(f"The key file {path} cannot be read: {error.strerror}.") from error
    found, offset = [], 0
    for number, whole in enumerate(lines, 1):
        line = whole.rstrip(b"\r\n")
        if line.strip():
            try:
                found.append((offset, line, _Entry.model_validate(orjson.loads(line))))
            except (orjson.JSONDecodeError, ValidationError):
                raise KeyFileError(
                    f'Line {number} of the key file {path} is not {{"user", "projects", "sha256"}}.'
                ) from None
        offset += len(whole)
    return found


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
