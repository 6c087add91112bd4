"""How the stores of tables are kept on disk, and what happens when one of them is damaged."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from faust.types import TP

from agents.scoring import scoring
from app import open_files, worker  # noqa: F401 - it says what happens when partitions move
from app.faust_app import app
from app.recovery import Recovery
from tables.base import Table, persist_offsets
from tables.scores import table

ROWS = {b"%04d" % number: random.Random(number).randbytes(400) for number in range(200)}
MIDDLE = sorted(ROWS)[len(ROWS) // 2]


class Ended(BaseException):
    """The worker has ended, so that it is started again."""


@pytest.fixture(autouse=True)
def unlogged(monkeypatch: pytest.MonkeyPatch, table_dir: Path) -> None:
    def end(why: str) -> None:
        raise Ended(why)

    monkeypatch.setattr(table, "_log", lambda *_: None)
    monkeypatch.setattr(app, "on_unreadable", end)


def damage(change: Callable[[bytearray], None]) -> Path:
    """The store of a partition with ROWS, whose one file of rows has been changed."""
    table.write(0, list(ROWS.items()))
    table.close()
    table._db(0)  # opening it moves the rows to a file of their own
    table.close()
    path = table.data.partition_path(0)
    [file] = path.glob("*.sst")
    content = bytearray(file.read_bytes())
    change(content)
    file.write_bytes(content)
    return path


def flip(content: bytearray) -> None:
    """Spoil each block."""
    for at in range(0, len(content) * 9 // 10, 500):
        content[at] ^= 1


def truncate(content: bytearray) -> None:
    del content[len(content) // 2 :]


def test_what_rocksdb_writes_of_its_own_work_stays_small_however_long_a_worker_runs() -> None:
    for number in range(80):
        table.put_row(0, b"%d" % number, b"row")
        table._db(0).flush()
    logs = list(table.data.partition_path(0).glob("LOG*"))
    assert sum(path.stat().st_size for path in logs) < 300 * 1024


def compact_and_write(table: Table) -> None:
    table.put_row(0, MIDDLE, b"new")
    table._db(0).compact_range(None, None)
    table.put_row(0, MIDDLE, b"newer")


@pytest.mark.parametrize(
    "use",
    [
        lambda table: table.get_row(0, MIDDLE),
        lambda table: list(table.scan(0)),
        lambda table: list(table.scan(0, MIDDLE[:3])),
        lambda table: list(table.scan_back(0, MIDDLE)),
        compact_and_write,
    ],
    ids=["get", "scan", "scan-prefix", "scan-back", "write"],
)
def test_a_damaged_store_is_never_read_as_a_shorter_one_but_deleted_and_the_worker_ends_to_recover_it(
    use: Callable[[Table], object],
) -> None:
    path = damage(flip)
    with pytest.raises(Ended, match=rf"the table at {path} is damaged \(Corruption: .*recovers the table"):
        use(table)
    assert not path.exists()
    assert list(table.scan(0)) == []


def test_a_store_that_is_too_damaged_to_be_opened_is_opened_empty_so_that_it_is_recovered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    damage(truncate)
    assert table.get_row(0, table.data.offset_key) is None
    assert list(table.scan(0)) == []
    assert "is damaged (Corruption: " in caplog.text


@pytest.mark.parametrize("files", ["MANIFEST-*", "*.sst"])
def test_a_store_that_lacks_a_file_when_it_is_opened_is_opened_empty_so_that_it_is_recovered(files: str) -> None:
    for path in damage(lambda content: None).glob(files):
        path.unlink()
    assert list(table.scan(0)) == []


def test_a_store_that_loses_a_file_while_it_is_open_is_deleted_and_the_worker_ends_to_recover_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(open_files, "of_each", lambda databases: 20)  # fewer files stay open: it opens them to read
    path = damage(lambda content: None)
    for number in range(40):
        table.put_row(0, b"%d" % number, b"row")
        table._db(0).flush()
    for file in path.glob("*.sst"):
        file.unlink()
    with pytest.raises(Ended, match=rf"the table at {path} is damaged"):
        list(table.scan(0))
    assert not path.exists()


def test_a_store_whose_deletion_was_cut_off_is_opened_empty() -> None:
    table.write(0, list(ROWS.items()))
    table.close()
    (table.data.partition_path(0) / "CURRENT").unlink()
    assert list(table.scan(0)) == []


def test_scans_give_the_rows_between_their_bounds_in_their_order() -> None:
    table.write(0, [*ROWS.items(), (table.data.offset_key, b"7")])
    keys = sorted(ROWS)
    assert list(table.scan(0)) == [(key, ROWS[key]) for key in keys]
    assert [key for key, _ in table.scan(0, b"01", b"0150")] == keys[151:]
    assert [key for key, _ in table.scan(0, b"005")] == keys[50:60]
    assert [key for key, _ in table.scan_back(0)] == keys[::-1]
    assert [key for key, _ in table.scan_back(0, b"0003")] == keys[2::-1]


def test_a_scan_has_the_rows_of_its_moment_whatever_is_written_before_they_are_read() -> None:
    table.write(0, list(ROWS.items()))
    rows = table.scan(0)
    table.write(0, [(MIDDLE, None), (min(ROWS), b"changed"), (b"new", b"row")])
    assert dict(rows) == ROWS


def acknowledge(offset: int) -> None:
    acknowledged = asyncio.get_running_loop().create_future()
    acknowledged.set_result(SimpleNamespace(partition=0, offset=offset))
    table._on_logged(acknowledged)


def recover(offsets: range) -> None:
    """Apply a batch of the changelog to the store, as a recovery does that has not reached the end of it."""
    changelog = TP(table.changelog_topic.get_topic_name(), 0)
    recovery = Recovery(app, app.tables)
    recovery.active_tps, recovery.tp_to_table = {changelog}, {changelog: table}
    recovery.active_highwaters[changelog] = 1000
    recovery.apply(changelog, [SimpleNamespace(offset=offset, key=b"%d" % offset, value=b"row") for offset in offsets])


@pytest.mark.parametrize("at", ["recovering", "recovered"])
async def test_what_was_acknowledged_before_a_recovery_never_makes_a_store_look_complete(
    monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    table.put_row(0, b"100", b"row")
    acknowledge(100)
    if at == "recovered":
        await app.on_partitions_revoked.send(set())
    monkeypatch.setattr(app, "rebalancing", at == "recovering")
    recover(range(61, 71))
    persist_offsets()
    scoring.attempts.writable.set()  # it was cleared when partitions were revoked
    assert table.get_row(0, table.data.offset_key) == b"70"


async def test_what_was_acknowledged_is_not_recovered_again() -> None:
    table.put_row(0, b"100", b"row")
    acknowledge(100)
    persist_offsets()
    assert table.get_row(0, table.data.offset_key) == b"100"


def test_a_log_that_lost_what_a_table_has_applied_is_reported_and_the_table_recovered(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    changelog = TP(table.changelog_topic.get_topic_name(), 0)
    table.put_row(0, b"key", b"row")
    table.data.set_persisted_offset(changelog, 7)
    monkeypatch.setattr(app.consumer, "highwater", lambda _: 8, raising=False)
    assert table.data.persisted_offset(changelog) == 7
    assert not caplog.records
    monkeypatch.setattr(app.consumer, "highwater", lambda _: 7, raising=False)
    assert table.data.persisted_offset(changelog) is None
    assert "applied offset 7, and the log ends before 7" in caplog.text
    assert table.get_row(0, b"key") is None
