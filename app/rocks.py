"""How every RocksDB here keeps its blocks: those of the log, and those of the tables."""

from rocksdict import BlockBasedIndexType, BlockBasedOptions, Cache

MIB = 1024**2


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
