"""What a disk may hold when the power goes: all that was synced, and of the rest anything."""

import random
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

from tests.faults.shim import Entry


class Luck(Enum):
    """What is left of writes and names that were not synced."""

    NONE = "nothing"
    ALL = "everything"
    CUT = "everything up to some byte of some write"
    HOLES = "some writes but not others, with zeros where one is missing"


class _File:
    """One file: what is durable of it, and the writes since (offset, data; None for a new length)."""

    def __init__(self) -> None:
        self.durable = bytearray()
        self.pending: list[tuple[int, bytes | None]] = []

    def sync(self) -> None:
        for write in self.pending:
            _apply(self.durable, *write)
        self.pending.clear()

    def after(self, luck: Luck, chance: random.Random) -> bytes:
        left = bytearray(self.durable)
        if luck is Luck.NONE or not self.pending:
            return bytes(left)
        last = chance.randrange(len(self.pending)) if luck is Luck.CUT else None
        for number, (offset, data) in enumerate(self.pending):
            if number == last and data is not None:
                data = data[: chance.randrange(len(data) + 1)]
            if luck is Luck.HOLES and data is not None and chance.random() < 0.5:
                data = bytes(len(data)) if chance.random() < 0.5 else b""
            _apply(left, offset, data)
            if number == last:
                break
        return bytes(left)


def _apply(content: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        del content[offset:]
        content.extend(bytes(offset - len(content)))
    elif data:
        content.extend(bytes(offset - len(content)))
        content[offset : offset + len(data)] = data


class Disk:
    """The files that a process changed. A name is durable when its folder has been synced; names change in order."""

    def __init__(self) -> None:
        self._names: dict[str, _File] = {}
        self._durable: dict[str, _File] = {}
        self._pending: list[tuple[str, _File | None]] = []  # names set, or removed

    def apply(self, entry: Entry) -> None:
        """Do what the process did."""
        if entry.call == "o":
            self._name(entry.path, _File())
        elif entry.call == "r":
            self._name(entry.data.decode(), self._names[entry.path])
            self._name(entry.path, None)
        elif entry.call == "u":
            self._name(entry.path, None)
        elif (file := self._names.get(entry.path)) is None:
            if entry.call == "s":
                self._sync_folder(entry.path)
        elif entry.call == "s":
            file.sync()
        else:
            data = entry.data if entry.call == "w" else None
            file.pending.append((entry.offset if data is not None else entry.size, data))

    def after(self, luck: Luck, chance: random.Random) -> Iterator[tuple[str, bytes]]:
        """The files that are there when the power comes back."""
        most = len(self._pending)
        kept = {Luck.NONE: 0, Luck.ALL: most}.get(luck, chance.randint(0, most))
        names = dict(self._durable)
        for path, file in self._pending[:kept]:
            _set(names, path, file)
        for path, file in names.items():
            yield path, file.after(luck, chance)

    def _name(self, path: str, file: _File | None) -> None:
        _set(self._names, path, file)
        self._pending.append((path, file))

    def _sync_folder(self, folder: str) -> None:
        # On a disk that keeps a journal all names that were changed before are durable too.
        if any(str(Path(path).parent) == folder for path, _ in self._pending):
            for path, file in self._pending:
                _set(self._durable, path, file)
            self._pending.clear()


def _set(names: dict[str, _File], path: str, file: _File | None) -> None:
    if file is None:
        names.pop(path, None)
    else:
        names[path] = file
