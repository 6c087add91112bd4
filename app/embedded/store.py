"""Opening the log's RocksDB."""

import logging
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import cast

from rocksdict import (
    BlockBasedIndexType,
    BlockBasedOptions,
    Cache,
    DBCompressionType,
    DBRecoveryMode,
    Options,
    Rdict,
    RdictIter,
    ReadOptions,
)

from . import keys
from .errors import EmbeddedLogError, LogBlockCorrupt, LogFormatMismatch, LogLocked, LogUnavailable
from .wal import find_damage

log = logging.getLogger(__name__)

MIB = 1024 * 1024
BLOCK_CACHE_BYTES = 24 * MIB
WRITE_BUFFER_BYTES = 16 * MIB
WRITE_BUFFERS = 4
WAL_BYTES = 128 * MIB
FIRST_LEVEL_BYTES = 32 * MIB  # what is new is merged with all of this level: the default, 256 MiB, is a whole small log
FILE_BYTES = 8 * MIB  # so that most files of what was appended long ago lie before all that is new, and are left alone
FILES_COMPACTED = 16  # at once: each time all that they overlap is compressed again, which is most of all records
FILES_SLOWED, FILES_STOPPED = 32, 48  # not yet compacted, from which on writes are slowed down, and wait


def open_database(path: Path) -> Rdict:
    """Open the RocksDB at `path`, creating it and its directory if missing.

    Raises:
        LogLocked: another process has it open.
        LogUnavailable: the directory cannot be created or opened.
        LogFormatMismatch: it was written in a format that this version does not read.
        LogBlockCorrupt: something that was acknowledged cannot be read any more.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        try:
            database = _open(path, DBRecoveryMode.absolute_consistency())
        except LogBlockCorrupt:
            _check_tail(path)
            database = _open(path, DBRecoveryMode.point_in_time())
    except OSError as exc:
        raise LogUnavailable(path, exc) from exc
    try:
        found = get(database, keys.VERSION)
        if found is None:
            database.put(keys.VERSION, keys.FORMAT_VERSION)
        elif found != keys.FORMAT_VERSION:
            raise LogFormatMismatch(path, found.decode(errors="replace"), keys.FORMAT_VERSION.decode())
    except Exception as exc:  # rocksdict raises bare Exception, and once more as it closes what it could not write
        with suppress(Exception):
            database.close()
        if isinstance(exc, EmbeddedLogError):
            raise
        raise LogUnavailable(path, exc) from exc
    return database


def is_log(path: Path) -> bool:
    """Whether a log lies in this directory."""
    return (path / "CURRENT").is_file()


def _open(path: Path, mode: DBRecoveryMode) -> Rdict:
    options = database_options()
    options.set_wal_recovery_mode(mode)
    try:
        return Rdict(str(path), options)
    except Exception as exc:  # rocksdict has no narrower class for RocksDB's own errors
        if f"{path.name}/LOCK" in str(exc):
            raise LogLocked(path) from exc
        if str(exc).startswith("Corruption"):
            raise LogBlockCorrupt(path, exc) from exc
        raise LogUnavailable(path, exc) from exc


def _check_tail(path: Path) -> None:
    """Return if all that is damaged is what was written last, which nobody had been told was there."""
    damage = find_damage(path)
    if damage is None:
        return  # it is elsewhere, and is met again
    if damage.lost:
        raise LogBlockCorrupt(path, f"{damage.wal.name} at byte {damage.at}, with synced records behind it")
    log.warning("a write to %s was cut off at byte %d: what is there of it is dropped", damage.wal, damage.at)


def scan(database: Rdict, start: bytes, prefix: bytes, end: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
    """Yield keys and values in order of the keys, from `start` on, while they have `prefix`.

    `end` says how far it may look: at most up to this key, which is not given.

    Raises:
        LogBlockCorrupt: what comes next on the disk is not what was written.
    """
    options = ReadOptions()
    if end is not None:  # else the iterator looks into files of what comes behind, too
        options.set_iterate_upper_bound(end)
    last = start
    for key, value in database.items(from_key=start, read_opt=options):
        last = cast(bytes, key)
        if not last.startswith(prefix):
            return
        yield last, cast(bytes, value)
    # Behind everything lies the version, so an iterator that just ends has met the bound, or a damaged block.
    damage = _damage_behind(database, last)
    if damage or end is None:
        raise LogBlockCorrupt(Path(database.path()), damage or "its format version is missing")


def get(database: Rdict, key: bytes) -> bytes | None:
    """Return the value of a key, None if there is none. Raises LogBlockCorrupt."""
    try:
        value: bytes | None = database.get(key)
    except Exception as exc:  # rocksdict raises bare Exception
        raise LogBlockCorrupt(Path(database.path()), exc) from exc
    return value


def last_item(database: Rdict, prefix: bytes, rest: int) -> tuple[bytes, bytes] | None:
    """Return the last key that has `prefix` and `rest` bytes more, and its value. Raises LogBlockCorrupt."""
    found, damage = _seek_back(database, prefix + b"\xff" * rest)
    if damage:
        raise LogBlockCorrupt(Path(database.path()), damage)
    return found if found is not None and found[0].startswith(prefix) else None


# An iterator keeps the database open, and an exception the frames that it came through: none leaves these two.


def _seek_back(database: Rdict, key: bytes) -> tuple[tuple[bytes, bytes] | None, str]:
    at = database.iter()
    at.seek_for_prev(key)
    return ((at.key(), at.value()), "") if at.valid() else (None, _status(at))


def _damage_behind(database: Rdict, key: bytes) -> str:
    at = database.iter()
    at.seek(key)
    if at.valid():
        at.next()
    return _status(at)


def _status(at: RdictIter) -> str:
    try:
        at.status()
    except Exception as exc:  # rocksdict raises bare Exception
        return str(exc)
    return ""


def database_options() -> Options:
    """What every open of the log's RocksDB has in common."""
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_write_buffer_size(WRITE_BUFFER_BYTES)
    options.set_max_write_buffer_number(WRITE_BUFFERS)
    options.set_max_total_wal_size(WAL_BYTES)
    options.set_level_zero_file_num_compaction_trigger(FILES_COMPACTED)
    options.set_level_zero_slowdown_writes_trigger(FILES_SLOWED)
    options.set_level_zero_stop_writes_trigger(FILES_STOPPED)
    options.set_max_bytes_for_level_base(FIRST_LEVEL_BYTES)
    options.set_target_file_size_base(FILE_BYTES)
    options.set_max_background_jobs(2)
    options.set_max_open_files(512)
    options.set_bytes_per_sync(MIB)
    # On the last level too: zstd takes a third less room there, 45 bytes a score, and a third of what compaction costs.
    options.set_compression_type(DBCompressionType.lz4())
    options.set_max_log_file_size(MIB)
    options.set_keep_log_file_num(3)
    blocks = BlockBasedOptions()
    blocks.set_block_cache(Cache(BLOCK_CACHE_BYTES))
    blocks.set_block_size(16 * 1024)
    blocks.set_bloom_filter(10, block_based=False)  # cleaning asks for keys that mostly are new
    blocks.set_cache_index_and_filter_blocks(True)
    # In pieces: the filter of a file may be more than a shard of the cache holds, and would be read for each key anew.
    blocks.set_index_type(BlockBasedIndexType.two_level_index_search())
    blocks.set_partition_filters(True)
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(True)
    options.set_block_based_table_factory(blocks)
    return options
