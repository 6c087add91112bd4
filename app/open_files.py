"""The limit of open files: RocksDB needs some for each table and partition, and one for every 8 MiB of rows."""

import resource
from contextlib import suppress

_A_DATABASE = 6  # open in an empty RocksDB: its log, its lock, its manifest, …
_BESIDE = 100  # open in a new worker beside its tables
_SPARE = 2_048  # for connections, and for the log's files
_MOST = (65_536, 10_240)  # the second if the system refuses the first, as macOS may


def limit() -> int:
    """How many files this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST[0] if soft == resource.RLIM_INFINITY else soft


def of_each(databases: int) -> int:
    """How many files each table's database may keep open, so that all of them leave some for the log and connections.

    At least 64: RocksDB divides the number among 64 shards, each of which keeps one file open even if it may not.
    """
    return min(512, max(64, (limit() - _SPARE) // databases))


def of_log() -> int:
    """How many files the embedded log may keep open."""
    return min(512, max(64, limit() // 8))


def of_connections(databases: int) -> int:
    """The first file number that is refused to a client's connection, so that the tables and the log can open more.

    The system gives each file the lowest number that is free.
    """
    return limit() - min(of_log(), max(0, limit() - _needed(databases)) // 2)


def raise_limit(needed: int = 0) -> None:
    """Raise the limit as far as the system allows: shells give 256 or 1,024, which is enough for most programs."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for most in (max(needed, _MOST[0]), _MOST[1]):
        wanted = most if hard == resource.RLIM_INFINITY else min(most, hard)
        if limit() < wanted:
            with suppress(ValueError, OSError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def shortage(databases: int) -> str | None:
    """Raise the limit to what a worker with so many databases needs at start; the message if the system refuses."""
    needed = _needed(databases)
    raise_limit(needed)
    if needed <= limit():
        return None
    return (
        f"this process may have {limit():,} files open, and needs {needed:,} to begin with for its tables: "
        "allow more (ulimit -n), or start anew with fewer CALLSCORE_PARTITIONS"
    )


def _needed(databases: int) -> int:
    return databases * _A_DATABASE + _BESIDE
