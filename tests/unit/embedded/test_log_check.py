"""`check` finds every problem of a log, and none in an intact one."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from rocksdict import Rdict

from app.client.errors import CommandError
from app.embedded import keys
from app.embedded.check import check
from app.embedded.errors import LogBlockCorrupt, NoLog
from app.embedded.log import Log
from app.embedded.store import open_database
from app.embedded.view import View
from app.upkeep.inspecting import stats

RECORDS = 3000


@pytest.fixture
async def whole(tmp_path: Path) -> Path:
    """A closed log of two topics, one of them cleaned."""
    path = tmp_path / "log"
    log = Log(path)
    log.create_topic("calls", 2, {"cleanup.policy": "delete", "retention.ms": -1000})
    log.create_topic("changelog", 1, {"cleanup.policy": "compact"})
    for number in range(RECORDS):
        log.append("calls", number % 2, b"key", b"value %d" % number * 20, headers=[("a", b"b"), ("c", None)])
    log.append("changelog", 0, b"key", None)
    await log.append("changelog", 0, b"key", b"")
    await log.commit("group", {("calls", 0): 7})
    await log.close()
    return path


def changed(path: Path, change: Callable[[Rdict], None]) -> list[str]:
    database = open_database(path)
    change(database)
    database.close()
    return list(check(path))


def test_a_log_that_is_whole_has_no_problems(whole: Path) -> None:
    assert list(check(whole)) == []


def test_a_missing_record_is_found_but_not_one_that_was_cleaned_away(whole: Path) -> None:
    gone = keys.record_prefix(1, 1) + keys.pack_offset(5)
    cleaned = keys.record_prefix(2, 0) + keys.pack_offset(0)

    def change(database: Rdict) -> None:
        database.delete(gone)
        database.delete(cleaned)

    assert changed(whole, change) == ["calls/1@5: 1 record is missing"]


def test_records_before_the_start_are_found(whole: Path) -> None:
    def change(database: Rdict) -> None:
        database.put(keys.bounds_key(1, 0), keys.bounds_value(3, RECORDS // 2))

    assert changed(whole, change) == [f"calls/0@{offset}: lies before the start 3" for offset in range(3)]


def test_records_missing_at_the_end_are_found(whole: Path) -> None:
    bounds = keys.bounds_key(1, 0)
    assert changed(whole, lambda database: database.put(bounds, keys.bounds_value(0, RECORDS))) == [
        f"calls/0@{RECORDS // 2}: {RECORDS // 2} records are missing before the end {RECORDS}"
    ]


@pytest.mark.parametrize("raw", [b"", b"short", b"\0" * 8 + b"\0\0\1\0" + b"\0\0\1" + b"too few"])
def test_a_record_that_cannot_be_decoded_is_found(whole: Path, raw: bytes) -> None:
    key = keys.record_prefix(1, 0) + keys.pack_offset(9)
    assert changed(whole, lambda database: database.put(key, raw)) == ["calls/0@9: the record cannot be decoded"]


def test_committed_offsets_outside_are_found(whole: Path) -> None:
    def change(database: Rdict) -> None:
        database.put(keys.committed_key("group", 1, 1), keys.pack_offset(RECORDS))
        database.put(keys.committed_key("group", 1, 2), keys.pack_offset(0))

    assert changed(whole, change) == [
        f"calls/1: group has committed {RECORDS}, and the end is {RECORDS // 2}",
        "calls/2: group has committed an offset in a partition that does not exist",
    ]


def test_bounds_that_are_missing_and_entries_of_no_topic_are_found(whole: Path) -> None:
    def change(database: Rdict) -> None:
        database.delete(keys.bounds_key(1, 1))
        database.put(b"stranger", b"")
        database.put(keys.record_prefix(9, 0) + keys.pack_offset(0), b"")

    assert changed(whole, change) == ["calls/1: its start and end are missing", "2 entries belong to no topic"]


def test_a_topic_or_committed_offset_that_cannot_be_decoded_is_found(whole: Path) -> None:
    [problem] = changed(whole, lambda database: database.put(keys.topic_key("torn"), b"\0\0\0\3\0\0\0\1{"))
    assert "cannot be decoded" in problem


def flip(path: Path, at: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[at] ^= 0xFF
    path.write_bytes(raw)


def test_a_damaged_block_is_found_and_the_rest_is_checked(whole: Path) -> None:
    open_database(whole).close()  # writes what was in the write-ahead log to a table file
    [table] = whole.glob("*.sst")
    flip(table, table.stat().st_size // 10)
    database = open_database(whole)
    database.put(keys.committed_key("group", 1, 1), keys.pack_offset(RECORDS))
    database.close()
    damage, committed = check(whole)
    assert damage.startswith("calls/0@")
    assert "block checksum mismatch" in damage
    assert committed.startswith("calls/1: group has committed")
    with View(whole) as view, pytest.raises(LogBlockCorrupt, match="restore the directory from a backup"):
        list(view.records(view.topics["calls"].partitions[0]))


async def test_damage_where_the_format_version_lies_is_named_and_not_met_as_a_mistake(tmp_path: Path) -> None:
    log = Log(tmp_path / "log")
    log.create_topic("calls", 1)
    await log.close()
    open_database(log.path).close()  # all of it in one block
    [table] = log.path.glob("*.sst")
    flip(table, 20)
    [problem] = check(log.path)
    assert "is damaged (Corruption: block checksum mismatch" in problem
    with pytest.raises(CommandError, match="restore the directory from a backup"):
        stats(log.path)


async def test_damage_in_the_write_ahead_log_is_found(tmp_path: Path) -> None:
    log = Log(tmp_path / "log")
    log.create_topic("calls", 1)
    for number in range(100):
        await log.append("calls", 0, None, b"value %d" % number * 20)
    copy = tmp_path / "as after a kill"
    shutil.copytree(log.path, copy)
    await log.close()
    assert list(check(copy)) == []
    [ahead] = copy.glob("*.log")
    flip(ahead, ahead.stat().st_size // 2)
    [problem] = check(copy)
    assert "checksum mismatch" in problem


async def test_a_log_in_use_can_be_looked_into(whole: Path) -> None:
    log = Log(whole)
    await log.append("calls", 1, b"new", b"new")
    first, second, _ = stats(whole)
    found = {"topic": "calls", "start": 0, "end": RECORDS // 2, "records": RECORDS // 2}
    assert first.items() >= found.items()
    assert (first["committed"], first["lag"]) == ({"group": 7}, {"group": RECORDS // 2 - 7})
    assert (second["end"], second["records"], second["committed"]) == (RECORDS // 2 + 1, RECORDS // 2 + 1, {})
    with View(whole) as view:
        assert [record.value for record in view.records(view.topics["calls"].partitions[1], RECORDS // 2)] == [b"new"]
    await log.append("calls", 1, b"still", b"there")
    await log.close()
    assert list(check(whole)) == []


def test_where_there_is_no_log_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(NoLog, match="There is no log at"):
        list(check(tmp_path / "none"))
    assert not (tmp_path / "none").exists()
