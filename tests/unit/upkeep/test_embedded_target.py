"""Where an import makes an embedded log: in the place of an empty one, and of nothing else."""

from pathlib import Path

import pytest

from app.client.errors import CommandError
from app.embedded.errors import LogNotEmpty
from app.embedded.log import Log
from app.embedded.record import Record
from app.embedded.store import is_log
from app.settings import Settings
from app.upkeep import embedded

RECORD = Record("calls", 1, 0, 7, b"key", b"value", [])


async def imported(folder: Path) -> list[Record]:
    """What is in the log after an import of one record into it."""
    settings = Settings(data_dir=folder, partitions=2)
    async with embedded.target(settings) as target:
        await target.put(RECORD)
    async with embedded.source(settings) as log:
        return [record async for record in log.records("calls", 1)]


async def test_a_log_without_records_is_replaced_and_one_with_some_is_not(tmp_path: Path) -> None:
    log = Log(tmp_path / "log")
    log.create_topic("calls", 5)
    await log.close()
    assert await imported(tmp_path) == [RECORD]
    with pytest.raises(CommandError, match="has records already"):
        await imported(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


async def test_a_folder_that_is_no_log_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "letter").write_text("dear")
    with pytest.raises(LogNotEmpty):
        await imported(tmp_path)
    assert (tmp_path / "log" / "letter").read_text() == "dear"
    (tmp_path / "log" / "letter").unlink()
    assert await imported(tmp_path) == [RECORD]


async def test_a_log_behind_a_link_is_made_where_the_link_leads(tmp_path: Path) -> None:
    disk, data = tmp_path / "disk" / "log", tmp_path / "data"
    disk.mkdir(parents=True)
    data.mkdir()
    (data / "log").symlink_to(disk)
    assert await imported(data) == [RECORD]
    assert (data / "log").is_symlink()
    assert is_log(disk)
    assert [path.name for path in disk.parent.iterdir()] == ["log"]


async def test_large_records_do_not_pile_up_in_memory(tmp_path: Path) -> None:
    record = RECORD._replace(value=bytes(1024**2))
    async with embedded.target(Settings(data_dir=tmp_path, partitions=2)) as target:
        await target.log.flush()  # of its topics
        owed = 0
        for _ in range(30):
            await target.put(record)
            owed = max(owed, target.log.backlog)
    assert 1 < owed < 10


async def test_what_another_makes_at_the_moment_of_the_swap_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def late(making: Path, path: Path) -> Path:
        (path / "LOCK").touch()
        return rename(making, path)

    monkeypatch.setattr(Path, "rename", late)
    with pytest.raises(OSError, match="not empty"):
        await imported(tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["log", "LOCK"]
