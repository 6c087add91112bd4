"""A service for all tables: bounds the sum of their write buffers. Each table has one a partition; few are used."""

from collections.abc import Iterable
from contextlib import suppress

import rocksdict
from mode import Service

from app.faust_app import app

LIMIT = 20 * 1024**2  # bytes
INTERVAL = 0.25  # seconds; a recovery writes some 10 MB meanwhile


class Buffers(Service):
    """Flushes what is too much as long as the worker runs, also during recovery."""

    @Service.task
    async def _flush_for_ever(self) -> None:
        async for _ in self.itertimer(INTERVAL, name="buffers"):
            flush_largest(database for table in app.tables.values() for database in table.data._dbs.values())


def flush_largest(databases: Iterable[rocksdict.Rdict], limit: int = LIMIT) -> None:
    """Flush the largest write buffers in the background, as many as it takes for the others to be within `limit`.

    RocksDB's own limit for several databases flushes the one that is being written, however small its buffer is.
    """
    sizes = [(_size(database, "cur-size-active-mem-table"), database) for database in databases]
    total = sum(size for size, _ in sizes)
    for size, database in sorted(sizes, key=lambda item: item[0], reverse=True):
        if total <= limit:
            break
        if _size(database, "num-immutable-mem-table"):
            continue  # it is being flushed, and a second flush would block this thread
        # The next write to it reports what cannot be written; rocksdict raises bare Exception.
        with suppress(Exception):
            database.flush(wait=False)
            total -= size


def _size(database: rocksdict.Rdict, name: str) -> int:
    with suppress(Exception):  # it is being closed; rocksdict raises bare Exception
        return database.property_int_value(f"rocksdb.{name}") or 0
    return 0
