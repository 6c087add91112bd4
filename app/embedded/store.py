"""Opening the log's RocksDB."""

from collections.abc import Iterator
from pathlib import Path
from typing import cast

from rocksdict import BlockBasedOptions, Cache, DBCompressionType, Options, Rdict

from . import keys
from .errors import LogFormatMismatch, LogLocked, LogUnavailable

MIB = 1024 * 1024
BLOCK_CACHE_BYTES = 32 * MIB
WRITE_BUFFER_BYTES = 16 * MIB
WRITE_BUFFERS = 4
WAL_BYTES = 128 * MIB


def open_database(path: Path) -> Rdict:
    """Open the RocksDB at `path`, creating it and its directory if missing.

    Raises:
        LogLocked: another process has it open.
        LogUnavailable: the directory cannot be created or opened.
        LogFormatMismatch: it was written in a format that this version does not read.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        database = Rdict(str(path), _options())
    except OSError as exc:
        raise LogUnavailable(path, exc) from exc
    except Exception as exc:  # rocksdict has no narrower class for RocksDB's own errors
        if f"{path.name}/LOCK" in str(exc):
            raise LogLocked(path) from exc
        raise LogUnavailable(path, exc) from exc
    found = database.get(keys.VERSION)
    if found is None:
        database.put(keys.VERSION, keys.FORMAT_VERSION)
    elif found != keys.FORMAT_VERSION:
        database.close()
        raise LogFormatMismatch(path, found.decode(errors="replace"), keys.FORMAT_VERSION.decode())
    return database


def scan(database: Rdict, start: bytes, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield keys and values in order of the keys, from `start` on, while they have `prefix`."""
    for key, value in database.items(from_key=start):
        if not cast(bytes, key).startswith(prefix):
            return
        yield cast(bytes, key), value


def _options() -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_write_buffer_size(WRITE_BUFFER_BYTES)
    options.set_max_write_buffer_number(WRITE_BUFFERS)
    options.set_max_total_wal_size(WAL_BYTES)
    options.set_max_background_jobs(2)
    options.set_max_open_files(512)
    options.set_bytes_per_sync(MIB)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_bottommost_compression_type(DBCompressionType.zstd())
    options.set_max_log_file_size(MIB)
    options.set_keep_log_file_num(3)
    blocks = BlockBasedOptions()
    blocks.set_block_cache(Cache(BLOCK_CACHE_BYTES))
    blocks.set_block_size(16 * 1024)
    blocks.set_bloom_filter(10, block_based=False)  # cleaning asks for keys that mostly are new
    blocks.set_cache_index_and_filter_blocks(True)
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(True)
    options.set_block_based_table_factory(blocks)
    return options
