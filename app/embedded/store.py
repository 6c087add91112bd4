"""Opening and reading the log's RocksDB, where a damaged block is an error and not the end of what is there."""

import logging
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from rocksdict import (
    Cache,
    DBCompressionType,
    DBRecoveryMode,
    Options,
    Rdict,
    ReadOptions,
)

from app import open_files, rocks
from app.rocks import MIB, block_options, is_damage

from . import keys
from .errors import EmbeddedLogError, LogBlockCorrupt, LogFormatMismatch, LogLocked, LogUnavailable, LogUnreadable
from .wal import find_damage

log = logging.getLogger(__name__)

BLOCK_CACHE_BYTES = 24 * MIB
WRITE_BUFFER_BYTES = 16 * MIB
WRITE_BUFFERS = 4
WAL_BYTES = 128 * MIB
FIRST_LEVEL_BYTES = 32 * MIB  # new files are merged with this whole level: the default, 256 MiB, is a small log
FILE_BYTES = 8 * MIB  # small, so that most files of old records overlap no new ones, and are not merged again
FILES_COMPACTED = 16  # at once, as each time all that they overlap is compressed again, which is most records
FILES_SLOWED, FILES_STOPPED = 32, 48  # files not yet compacted at which writes are slowed down, and stopped

_LOCK_FAILED = "open a file for lock"  # in RocksDB's message if there is no lock to take, as on a read-only disk


def open_database(path: Path) -> Rdict:
    """Open the RocksDB at `path`, creating it and its directory if missing.

    Raises:
        LogLocked: another process has it open.
        LogUnavailable: the directory cannot be created or opened.
        LogFormatMismatch: it was written in a format that this version does not read.
        LogBlockCorrupt, LogUnreadable: something that was acknowledged cannot be read.
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
        else:
            check_version(path, found)
        if get(database, keys.ID) is None:  # it is new, or made by a version that gave it none
            database.put(keys.ID, uuid4().hex.encode())
    except Exception as exc:  # rocksdict raises bare Exception, and again on close if it could not write
        with suppress(Exception):
            database.close()
        if isinstance(exc, EmbeddedLogError):
            raise
        raise LogUnavailable(path, exc) from exc
    return database


def check_version(path: Path, found: bytes | None) -> None:
    """Return if this version reads the format version `found`. Raises LogFormatMismatch."""
    if found != keys.FORMAT_VERSION:
        raise LogFormatMismatch(path, (found or b"none").decode(errors="replace"), keys.FORMAT_VERSION.decode())


def is_log(path: Path) -> bool:
    """Whether there is a log in this directory."""
    return (path / "CURRENT").is_file()


def _open(path: Path, mode: DBRecoveryMode) -> Rdict:
    options = database_options()
    options.set_wal_recovery_mode(mode)
    try:
        return Rdict(str(path), options)
    except Exception as exc:  # rocksdict has no narrower class for RocksDB's own errors
        if f"{path.name}/LOCK" in str(exc) and _LOCK_FAILED not in str(exc):
            raise LogLocked(path) from exc
        if is_damage(exc):
            raise LogBlockCorrupt(path, exc) from exc
        raise LogUnavailable(path, exc) from exc


def _check_tail(path: Path) -> None:
    """Return if only the last write is damaged, which was never acknowledged. Raises LogBlockCorrupt."""
    damage = find_damage(path)
    if damage is None:
        return  # it is elsewhere, and opening fails again
    if damage.lost:
        raise LogBlockCorrupt(path, f"{damage.wal.name} at byte {damage.at}, with synced records behind it")
    log.warning("a write to %s was cut off at byte %d: what is there of it is dropped", damage.wal, damage.at)


def scan(database: Rdict, start: bytes, prefix: bytes, end: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
    """Yield keys and values in order of the keys, from `start` on, while they have `prefix`.

    It ends before the key `end`, if one is given.

    Raises:
        LogBlockCorrupt, LogUnreadable: the next block cannot be read.
    """
    options = ReadOptions()
    if end is not None:  # otherwise the iterator also opens files of later keys
        options.set_iterate_upper_bound(end)
    try:
        for key, value in rocks.scan(database, start, options):
            if not key.startswith(prefix):
                return
            yield key, value
    except rocks.ReadFailed as exc:
        raise unreadable(Path(database.path()), exc) from exc
    if end is None:  # the version has the greatest key
        raise LogBlockCorrupt(Path(database.path()), "its format version is missing")


def get(database: Rdict, key: bytes) -> bytes | None:
    """Return the value of a key, None if there is none. Raises LogBlockCorrupt, LogUnreadable."""
    try:
        value: bytes | None = database.get(key)
    except Exception as exc:  # rocksdict raises bare Exception
        raise unreadable(Path(database.path()), exc) from exc
    return value


def last_item(database: Rdict, prefix: bytes, rest: int) -> tuple[bytes, bytes] | None:
    """Return the last key with `prefix` and `rest` more bytes, and its value. Raises LogBlockCorrupt, LogUnreadable."""
    try:
        found = next(rocks.scan(database, prefix + b"\xff" * rest, backwards=True), None)
    except rocks.ReadFailed as exc:
        raise unreadable(Path(database.path()), exc) from exc
    return found if found is not None and found[0].startswith(prefix) else None


def unreadable(path: Path, reason: object) -> LogBlockCorrupt | LogUnreadable:
    """The error of a read of the log at `path` that failed for this reason."""
    return LogBlockCorrupt(path, reason) if is_damage(reason) else LogUnreadable(path, reason)


def database_options() -> Options:
    """The options with which the log's RocksDB is always opened."""
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
    options.set_max_open_files(open_files.of_log())
    options.set_bytes_per_sync(MIB)
    # Also on the last level: zstd would save a third of the space, 45 bytes a score, but add half to compaction.
    options.set_compression_type(DBCompressionType.lz4())
    options.set_max_log_file_size(MIB)
    options.set_keep_log_file_num(3)
    blocks = block_options(Cache(BLOCK_CACHE_BYTES))
    blocks.set_block_size(16 * 1024)
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(True)
    options.set_block_based_table_factory(blocks)
    return options
