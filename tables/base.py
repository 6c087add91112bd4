"""The base of all tables: rows of bytes in one RocksDB a partition, backed by a changelog topic.

Faust's `table[key] = value` writes to the partition of the current event; here the caller names the partition. A row is
written only by the agent that owns it, while it handles a record of the row's partition.
"""

import asyncio
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import faust
import rocksdict
from faust.stores import rocksdb
from faust.types import TP
from msgspec.structs import asdict

from app import open_files, rocks
from app.events import Event
from app.faust_app import app
from app.rocks import MIB, block_options

_WRITE_BUFFER_BYTES = 4 * MIB
# New rows are merged with the whole first level. Its default of 256 MiB would rewrite whole tables again and again.
_FIRST_LEVEL_BYTES = 16 * MIB
_FILE_BYTES = 8 * MIB
_FILES_MERGED = 8  # at once, into the first level, which with four would be rewritten twice as often
# Write buffers grow by blocks of this size. A table that is hardly written takes one in each partition.
_ARENA_BLOCK_BYTES = 64 * 1024
_LOG_BYTES = 256 * 1024
_OFFSET_KEY = rocksdb.Store.offset_key
# One block cache for all tables and partitions, so that memory does not grow with their number.
_block_cache = rocksdict.Cache(24 * MIB)

log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R", bound=Event)
Rows = Sequence[tuple[bytes, bytes | None]]  # keys and values; None: the row is deleted

tables: list["Table"] = []
caches: list[Callable[[], None]] = []  # called where rows change without a write: each forgets what it has of them


def keep_in(directory: Path | None) -> None:
    """Close all tables, and keep them below `directory` from now on, without changelogs: for commands."""
    for table in tables:
        table.close()
        table.has_changelog = False
    app.table_dir = directory or Path()


class Store(rocksdb.Store):
    """Faust's RocksDB store, with bounded memory, in the folder that belongs to this worker."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        with suppress(OSError):
            os.rmdir(self._backup_path)  # made for backups that its driver cannot make

    @property
    def path(self) -> Path:
        return app.table_dir

    def _open_for_partition(self, partition: int) -> rocksdict.Rdict:
        options = rocksdict.Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_max_open_files(open_files.of_each(len(tables) * app.conf.topic_partitions))
        options.set_write_buffer_size(_WRITE_BUFFER_BYTES)
        options.set_max_write_buffer_number(2)
        options.set_arena_block_size(_ARENA_BLOCK_BYTES)
        options.set_max_bytes_for_level_base(_FIRST_LEVEL_BYTES)
        options.set_target_file_size_base(_FILE_BYTES)
        options.set_level_zero_file_num_compaction_trigger(_FILES_MERGED)
        # RocksDB logs what it does to a file of each database, with statistics every ten minutes.
        options.set_keep_log_file_num(1)
        options.set_max_log_file_size(_LOG_BYTES)
        options.set_stats_dump_period_sec(0)
        options.set_max_total_wal_size(16 * MIB)
        options.set_compression_type(rocksdict.DBCompressionType.lz4())
        options.set_block_based_table_factory(block_options(_block_cache))
        path = self.partition_path(partition)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return rocksdict.Rdict(str(path), options=options)
        except Exception as error:  # rocksdict raises bare Exception
            if not self._can_recover_from(error):
                raise
            log.warning("the table at %s is damaged (%s): it is recovered from its changelog", path, error)
            self._drop(partition)
            return rocksdict.Rdict(str(path), options=options)

    def write(self, partition: int, batch: rocksdict.WriteBatch) -> None:
        """Write a batch to a partition. Raises what RocksDB raises if it cannot be written."""
        try:
            self._db_for_partition(partition).write(batch)
        except Exception as error:
            self.end_if_damaged(partition, error)
            raise

    def end_if_damaged(self, partition: int, error: Exception) -> None:
        """Delete a partition's store and end the worker, if this error of RocksDB says that the store is damaged."""
        if self._can_recover_from(error):
            with suppress(OSError):  # the next start finds the damage again
                self._drop(partition)
            app.on_unreadable(
                f"the table at {self.partition_path(partition)} is damaged ({error}), so this worker ends: "
                "its next start recovers the table from its changelog"
            )

    def _can_recover_from(self, error: Exception) -> bool:
        return rocks.is_damage(error) and bool(self.table.has_changelog)

    def _drop(self, partition: int) -> None:
        """Delete a partition's store, so that it is recovered."""
        if (database := self._dbs.pop(partition, None)) is not None:
            with suppress(Exception):  # what it cannot write is in the changelog; rocksdict raises bare Exception
                database.close()
        path = self.partition_path(partition)
        (path / "CURRENT").unlink(missing_ok=True)  # first: RocksDB reports what a kill leaves of the rest as damaged
        shutil.rmtree(path)

    def revoke_partitions(self, table: faust.Table, tps: set[TP]) -> None:
        for tp in tps:
            if tp.topic in table.changelog_topic.topics and (db := self._dbs.pop(tp.partition, None)) is not None:
                # What it cannot write when it is closed is in the changelog; rocksdict raises bare Exception.
                with suppress(Exception):
                    db.close()

    def persisted_offset(self, tp: TP) -> int | None:
        """The last changelog offset in the store. A store that is ahead of its log is dropped, to be recovered."""
        try:
            offset = super().persisted_offset(tp)
        except Exception as error:  # rocksdict raises bare Exception
            self.end_if_damaged(tp.partition, error)
            raise
        end = app.consumer.highwater(tp)
        if offset is None or end is None or offset < end:
            return offset
        self._drop(tp.partition)
        return None

    def close(self) -> None:
        """Close the databases of all partitions; they are opened again when needed."""
        for db in self._dbs.values():
            db.close()
        self._dbs.clear()

    async def stop(self) -> None:
        self.close()

    def set_persisted_offset(self, tp: TP, offset: int) -> None:
        if tp.partition in self._dbs:
            batch = rocksdict.WriteBatch(raw_mode=True)
            batch.put(_OFFSET_KEY, str(offset).encode())
            self.write(tp.partition, batch)


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
        tables.append(self)
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
        """Rows whose key starts with `prefix`, in key order, starting after key `after`."""
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
                if item[0] != _OFFSET_KEY and item[0] != but:
                    yield item
        except rocks.ReadFailed as error:
            self.data.end_if_damaged(partition, error)
            raise

    def _db(self, partition: int) -> Any:
        return self.data._db_for_partition(partition)

    def snapshot(self, partition: int) -> Iterable[tuple[bytes, bytes]]:
        """All rows in `partition` as they are now, in key order; later writes do not show."""
        return self._rows(partition, rocks.scan(self._db(partition)))

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
        for table in tables:
            table.persist_offsets()


def forget_rows() -> None:
    """Forget all that is known of rows: a recovery is about to change them, or has, or they are other workers' now."""
    for table in tables:
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
