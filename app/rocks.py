"""How every RocksDB here, of the log and of the tables, keeps its blocks and is read, and how damage in it is known."""

import re
from collections.abc import Iterator

from rocksdict import BlockBasedIndexType, BlockBasedOptions, Cache, Rdict, RdictIter, ReadOptions

MIB = 1024**2
_DAMAGE = re.compile("Corruption|IO error: No such file or directory: While open(ing)? a file for [a-z ]*read")


def block_options(cache: Cache) -> BlockBasedOptions:
    """Options of the blocks of data, of their index and of their filters, all of which are read through `cache`."""
    blocks = BlockBasedOptions()
    blocks.set_block_cache(cache)
    blocks.set_bloom_filter(10, block_based=False)  # many keys that are asked for are not there
    blocks.set_cache_index_and_filter_blocks(True)
    # In parts, since those of a large file may exceed a shard of the cache, and would be read each time.
    blocks.set_index_type(BlockBasedIndexType.two_level_index_search())
    blocks.set_partition_filters(True)
    return blocks


class ReadFailed(Exception):
    """RocksDB cannot read what comes next; the message is its own."""


def is_damage(error: object) -> bool:
    """Whether an error of RocksDB, or its text, says that stored data is damaged, or a file of it is missing.

    Others, such as too many open files, say nothing about what is stored.
    """
    return _DAMAGE.match(str(error)) is not None


def scan(
    database: Rdict, start: bytes | None = None, options: ReadOptions | None = None, *, backwards: bool = False
) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values as they are now, in the order of the keys, or `backwards`, from `start` on.

    Writes from now on do not show. (An iterator of one of rocksdict's snapshots shows those before the iterator.)

    Raises:
        ReadFailed: the next block cannot be read. An iterator ends there as it does behind the last key.
    """
    return _from(database.iter(options), start, options, backwards)


def _from(
    at: RdictIter, start: bytes | None, _options: ReadOptions | None, backwards: bool
) -> Iterator[tuple[bytes, bytes]]:
    """What is left of an iterator. Its options are kept until then, since it reads its bound in their memory."""
    if start is not None:
        at.seek_for_prev(start) if backwards else at.seek(start)
    else:
        at.seek_to_last() if backwards else at.seek_to_first()
    while at.valid():
        yield at.key(), at.value()
        at.prev() if backwards else at.next()
    failure = status(at)
    del at  # it keeps the database open, and an exception keeps its frames alive
    if failure:
        raise ReadFailed(failure)


def status(at: RdictIter) -> str:
    """The error at which an iterator has ended, or an empty string."""
    try:
        at.status()
    except Exception as error:  # rocksdict raises bare Exception
        return str(error)
    return ""
