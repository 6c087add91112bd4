"""The RocksDB of a table in each partition: with bounded memory, and deleted if it is damaged, to be recovered."""

import logging
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import faust
import rocksdict
from faust.stores import rocksdb
from faust.types import TP

from app import open_files, rocks
from app.faust_app import app
from app.rocks import MIB, block_options

OFFSET_KEY: bytes = rocksdb.Store.offset_key  # of the row that has the changelog offset of the others
_WRITE_BUFFER_BYTES = 4 * MIB
# New rows are merged with the whole first level. Its default of 256 MiB would rewrite whole tables again and again.
_FIRST_LEVEL_BYTES = 16 * MIB
_FILE_BYTES = 8 * MIB
_FILES_MERGED = 8  # at once, into the first level, which with four would be rewritten twice as often
# Write buffers grow by blocks of this size. A table that is hardly written takes one in each partition.
_ARENA_BLOCK_BYTES = 64 * 1024
_LOG_BYTES = 256 * 1024
# One block cache for all tables and partitions, so that memory does not grow with their number.
_block_cache = rocksdict.Cache(24 * MIB)

log = logging.getLogger(__name__)


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
        options.set_max_open_files(open_files.of_each(len(app.tables) * app.conf.topic_partitions))
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
        # Only offsets of durable records are stored.
        log.error(
            "%s has lost the end of its partition %d: the table has applied offset %d, and the log ends before %d. "
            "If it was not restored from a backup, records that were acknowledged are missing. The table is recovered "
            "from what is left",
            tp.topic,
            tp.partition,
            offset,
            end,
        )
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
            batch.put(OFFSET_KEY, str(offset).encode())
            self.write(tp.partition, batch)
