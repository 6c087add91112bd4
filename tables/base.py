"""The base of all tables: rows of bytes in one RocksDB a partition, backed by a changelog topic.

Faust's `table[key] = value` writes to the partition of the current event; here the caller names the partition. A row is
written only by the agent that owns it, while it handles a record of the row's partition.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import faust
import rocksdict
from faust.types import TP
from msgspec.structs import asdict

from app import rocks
from app.events import Event
from app.faust_app import app
from tables.store import OFFSET_KEY, Store

T = TypeVar("T")
R = TypeVar("R", bound=Event)
Rows = Sequence[tuple[bytes, bytes | None]]  # keys and values; None: the row is deleted

caches: list[Callable[[], None]] = []  # called where rows change without a write: each forgets what it has of them


def keep_in(directory: Path | None) -> None:
    """Close all tables, and keep them below `directory` from now on, without changelogs: for commands."""
    for table in app.tables.values():
        table.close()
        table.has_changelog = False
    app.table_dir = directory or Path()


class Table(faust.Table):
    """A changelog-backed table of bytes by partition and key."""

    def __init__(self, name: str) -> None:
        super().__init__(
            app,
            name=name,
            key_type=bytes,
            value_type=bytes,
            partitions=app.conf.topic_partitions,
            options={},
        )
        app.tables.add(self)
        # The last acknowledged changelog offset, by partition; that record's row, and all before it, are in the store.
        self._acknowledged: dict[int, int] = {}
        self.has_changelog = True

    def _new_store(self) -> Store:
        return Store(
            "rocksdb://",
            app,
            self,
            table_name=self.name,
            key_type=bytes,
            key_serializer="raw",
            value_serializer="raw",
            value_type=bytes,
            options={},
        )

    def get_row(self, partition: int, key: bytes) -> bytes | None:
        """The row under `key` in `partition`, or None."""
        try:
            value: bytes | None = self._db(partition).get(key)
        except Exception as error:  # rocksdict raises bare Exception
            self.data.end_if_damaged(partition, error)
            raise
        return value

    def load(self, partition: int, key: bytes, decode: Callable[[bytes], T]) -> T | None:
        """The row under `key` in `partition`, decoded, or None."""
        value = self.get_row(partition, key)
        return None if value is None else decode(value)

    def put_row(self, partition: int, key: bytes, value: bytes) -> None:
        """Set a row."""
        self.write(partition, [(key, value)])

    def write(self, partition: int, rows: Rows) -> None:
        """Set rows, and delete those whose value is None: first their changelog records, then the local store."""
        if not rows:
            return
        self._log(partition, rows)
        batch = rocksdict.WriteBatch(raw_mode=True)
        for key, value in rows:
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        try:
            self.data.write(partition, batch)
        except Exception as error:
            app.on_cannot_store(self.data.path, error)
            raise

    def scan(self, partition: int, prefix: bytes = b"", after: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Rows as they are now whose key starts with `prefix`, in key order, starting after key `after`."""
        options = rocksdict.ReadOptions()
        if prefix:
            # Without a bound, a scan would read all deleted rows behind the last one.
            options.set_iterate_upper_bound(successor(prefix))
        start = max(prefix, after or b"")
        return self._rows(partition, rocks.scan(self._db(partition), start or None, options), after)

    def scan_back(self, partition: int, before: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Rows in reverse key order, starting before key `before`."""
        return self._rows(partition, rocks.scan(self._db(partition), before, backwards=True), before)

    def _rows(
        self, partition: int, items: Iterator[tuple[bytes, bytes]], but: bytes | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        """The items that are rows, without the row under the key `but`."""
        try:
            for item in items:
                if item[0] != OFFSET_KEY and item[0] != but:
                    yield item
        except rocks.ReadFailed as error:
            self.data.end_if_damaged(partition, error)
            raise

    def _db(self, partition: int) -> Any:
        return self.data._db_for_partition(partition)

    def close(self) -> None:
        """Close the stores of all partitions; they are opened again when needed."""
        self.data.close()

    def _log(self, partition: int, rows: Rows) -> None:
        if self.has_changelog:
            topic = self.changelog_topic.get_topic_name()
            app.producer.append_all(topic, partition, rows).add_done_callback(self._on_logged)

    def _on_logged(self, future: "asyncio.Future[Any]") -> None:
        # A send that fails stops the worker (the producer sees to it), so only the others matter here.
        if not future.cancelled() and future.exception() is None:
            metadata = future.result()
            self._acknowledged[metadata.partition] = metadata.offset

    def persist_offsets(self) -> None:
        """Store which changelog offset each store has reached."""
        topic = self.changelog_topic.get_topic_name()
        acknowledged, self._acknowledged = self._acknowledged, {}
        try:
            for partition, offset in acknowledged.items():
                self.data.set_persisted_offset(TP(topic, partition), offset)
        except Exception as error:
            app.on_cannot_store(self.data.path, error)


def persist_offsets() -> None:
    """Store which changelog offset each store of this worker has reached, so that its next recovery starts there.

    Not during a recovery, which takes a store back to older rows first.
    """
    if app.producer.failed is None and not app.rebalancing:
        for table in app.tables.values():
            table.persist_offsets()


def forget_rows() -> None:
    """Forget all that is known of rows: a recovery is about to change them, or has, or they are other workers' now."""
    for table in app.tables.values():
        table._acknowledged.clear()
    for forget in caches:
        forget()


def first_wins(row_type: type[R]) -> Callable[[R | None, Event, int], R]:
    """The fold of a table whose rows are the first event under their key, and its offset."""

    def fold(row: R | None, event: Event, offset: int) -> R:
        return row or row_type(**asdict(event) | {"offset": offset})

    return fold


def successor(prefix: bytes) -> bytes:
    """The smallest key after all keys that start with `prefix`, which must not be all 0xff."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1])
