"""Write buffers that are flushed so that all together stay small."""

import os
import time
from pathlib import Path

import pytest
import rocksdict

from tables.buffers import flush_largest

MIB = 1024**2


@pytest.fixture
def databases(tmp_path: Path) -> list[rocksdict.Rdict]:
    """Databases whose write buffers hold 1, 3 and 2 MiB."""
    made = []
    for number, mib in enumerate((1, 3, 2)):
        options = rocksdict.Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_arena_block_size(64 * 1024)
        made.append(rocksdict.Rdict(str(tmp_path / str(number)), options))
        for row in range(mib * 16):
            made[-1].put(b"%d" % row, os.urandom(64 * 1024))
    return made


def buffered(database: rocksdict.Rdict) -> int:
    return round((database.property_int_value("rocksdb.cur-size-active-mem-table") or 0) / MIB)


def settled(databases: list[rocksdict.Rdict]) -> list[int]:
    """MiB that are left in the write buffers, once nothing is flushed any more."""
    while any(database.property_int_value("rocksdb.num-immutable-mem-table") for database in databases):
        time.sleep(0.01)
    return [buffered(database) for database in databases]


def test_buffers_within_the_limit_are_left_alone(databases: list[rocksdict.Rdict]) -> None:
    flush_largest(databases, 7 * MIB)
    assert settled(databases) == [1, 3, 2]


def test_only_as_many_as_needed_are_flushed(databases: list[rocksdict.Rdict]) -> None:
    flush_largest(databases, 4 * MIB)
    assert settled(databases) == [1, 0, 2]


def test_what_was_flushed_is_still_there(databases: list[rocksdict.Rdict]) -> None:
    flush_largest(databases, 0)
    assert settled(databases) == [0, 0, 0]
    assert [len(list(database.keys())) for database in databases] == [16, 48, 32]
