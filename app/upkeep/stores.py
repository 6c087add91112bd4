"""The RocksDB stores of tables as files: copying, reading and comparing them."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import rocksdict
from faust.stores import rocksdb

from app import rocks
from app.client.errors import CommandError
from app.client.text import clean
from tables import progress, tasks

OFFSET_KEY: bytes = rocksdb.Store.offset_key  # its value is the changelog offset up to which the store is complete
_NOT_COMPARED = frozenset({tasks.table.name})  # parked tasks, which may differ
_LONGEST = 400  # characters of a row


class Store(NamedTuple):
    """One partition of one table."""

    table: str
    partition: int

    def path(self, directory: Path) -> Path:
        """Its path in a folder of tables."""
        return directory / f"{self.table}-{self.partition}.db"


class Difference(NamedTuple):
    """The first row that differs between two folders; None where it does not exist."""

    store: Store
    key: bytes
    kept: bytes | None
    rebuilt: bytes | None

    def __str__(self) -> str:
        key = clean(self.key.replace(b"\0", b" / ").decode(errors="replace"))
        return (
            f"Table {self.store.table}, partition {self.store.partition}, row {key}: "
            f"the service has {_shown(self.store, self.kept)}, the log gives {_shown(self.store, self.rebuilt)}."
        )


class Compared(NamedTuple):
    """How many rows of each table are the same, and the first that is not."""

    rows: dict[str, int]
    difference: Difference | None


def stores_in(directory: Path) -> list[Store]:
    """The stores in a folder of tables."""
    names = (path.name.removesuffix(".db").rpartition("-") for path in directory.glob("*.db"))
    return sorted(Store(table, int(partition)) for table, _, partition in names)


def copy(store: Store, source: Path, target: Path) -> None:
    """Copy a store that is not open; files that never change are linked."""
    made = store.path(target)
    made.mkdir(parents=True)
    for path in store.path(source).iterdir():
        if path.suffix == ".sst":
            os.link(path, made / path.name)
        elif path.is_file() and path.name != "LOCK":
            shutil.copyfile(path, made / path.name)


@contextmanager
def making(store: Store, directory: Path) -> Iterator[Callable[[bytes, bytes], None]]:
    """Make a store; yields its `put`."""
    store.path(directory).parent.mkdir(parents=True, exist_ok=True)
    with rocksdict.Rdict(str(store.path(directory)), rocksdict.Options(raw_mode=True)) as database:
        yield database.put


def changelog_offset(store: Store, directory: Path) -> int:
    """The changelog offset up to which a store is complete, -1 if unknown."""
    with _reading(store, directory) as database:
        offset: bytes | None = database.get(OFFSET_KEY)
    return -1 if offset is None else int(offset)


@contextmanager
def damage_as_command_error() -> Iterator[None]:
    """Raise damage that RocksDB finds in a table as CommandError."""
    try:
        yield
    except Exception as error:  # rocksdict raises bare Exception
        if not rocks.is_damage(error):
            raise
        raise CommandError(
            f"A table is damaged ({error}). Delete the tables while the service is stopped: "
            "it rebuilds them from the log at its next start."
        ) from None


def compare(kept: Path, rebuilt: Path) -> Compared:
    """Compare all rows in two folders of tables, except parked tasks and Faust's own keys."""
    rows: dict[str, int] = {}
    for store in sorted({*stores_in(kept), *stores_in(rebuilt)}):
        if store.table in _NOT_COMPARED:
            continue
        rows.setdefault(store.table, 0)
        for key, ours, theirs in _side_by_side(_rows(store, kept), _rows(store, rebuilt)):
            if ours != theirs:
                return Compared(rows, Difference(store, key, ours, theirs))
            rows[store.table] += 1
    return Compared(rows, None)


def count(directory: Path) -> dict[str, int]:
    """The number of rows of each table in a folder."""
    rows: dict[str, int] = {}
    for store in stores_in(directory):
        rows[store.table] = rows.get(store.table, 0) + sum(1 for _ in _rows(store, directory))
    return rows


def _rows(store: Store, directory: Path) -> Iterator[tuple[bytes, bytes]]:
    if not store.path(directory).exists():
        return
    with _reading(store, directory) as database:
        for key, value in rocks.scan(database):
            if key != OFFSET_KEY:
                yield key, value


def _reading(store: Store, directory: Path) -> Any:
    options = rocksdict.Options(raw_mode=True)
    return rocksdict.Rdict(str(store.path(directory)), options, access_type=rocksdict.AccessType.read_only())


def _side_by_side(
    ours: Iterator[tuple[bytes, bytes]], theirs: Iterator[tuple[bytes, bytes]]
) -> Iterator[tuple[bytes, bytes | None, bytes | None]]:
    """(key, our value, their value) of every key in either, both in key order."""
    one, other = next(ours, None), next(theirs, None)
    while one is not None or other is not None:
        if other is None or (one is not None and one[0] < other[0]):
            assert one is not None
            yield one[0], one[1], None
            one = next(ours, None)
        elif one is None or other[0] < one[0]:
            yield other[0], None, other[1]
            other = next(theirs, None)
        else:
            yield one[0], one[1], other[1]
            one, other = next(ours, None), next(theirs, None)


def _shown(store: Store, value: bytes | None) -> str:
    if value is None:
        return "nothing"
    text = str(progress.decode(value)) if store.table == progress.table.name else value.decode(errors="replace")
    return clean(text, _LONGEST)
