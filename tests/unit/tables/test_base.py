"""How the stores of tables are kept on disk."""

from pathlib import Path

import pytest

from tables.scores import table


def test_what_rocksdb_writes_of_its_own_work_stays_small_however_long_a_worker_runs(
    table_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "has_changelog", False)
    for number in range(80):
        table.put_row(0, b"%d" % number, b"row")
        table._db(0).flush()
    logs = list(table.data.partition_path(0).glob("LOG*"))
    assert sum(path.stat().st_size for path in logs) < 300 * 1024
