"""What happens around the embedded log: who holds it open, when it is cleaned, how it is opened again."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from app.embedded import shared
from app.embedded.cleaner import Cleaner
from app.embedded.cleaning import CleanedStats
from app.embedded.errors import EmbeddedLogError, LogBlockCorrupt, LogClosed, LogFailed, LogFormatMismatch
from app.embedded.reopening import reopen
from tests.unit.waiting import until


async def test_a_log_is_closed_by_the_last_of_its_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    log = shared.acquire(tmp_path / "log")
    log.create_topic("calls", 1)
    held = shared.Held(shared.acquire(Path("log")))
    assert shared.acquire(tmp_path / "log") is log
    await shared.release(log)
    await shared.release(log)
    await log.append("calls", 0, b"", b"")
    await held.start()
    await held.stop()
    with pytest.raises(LogClosed):
        log.append("calls", 0, b"", b"")
    again = shared.acquire(tmp_path / "log")
    assert again is not log
    await shared.release(again)


class Cleaned:
    """A log, and the app that it is cleaned for."""

    failed: LogFailed | None = None
    rebalancing = False

    def __init__(self) -> None:
        self.tables = SimpleNamespace(actives_ready=True)
        self.ends: asyncio.Queue[Exception | None] = asyncio.Queue()  # of cleanings
        self.begun = 0
        self.hopeless: list[str] = []
        self.on_hopeless = self.hopeless.append

    async def clean(self) -> CleanedStats:
        self.begun += 1
        if (end := await self.ends.get()) is not None:
            raise end
        return CleanedStats(1, 1, 1)


@pytest.fixture
def cleaned(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("app.embedded.cleaner.INTERVAL", 0.01)
    return Cleaned()


@pytest.mark.parametrize("why", ["rebalancing", "recovering", "halted"])
async def test_a_log_is_not_cleaned_while_tables_may_still_need_a_tombstone_or_nothing_can_be_written(
    cleaned: Any, why: str
) -> None:
    def stand_still(now: bool) -> None:
        cleaned.rebalancing = now and why == "rebalancing"
        cleaned.tables.actives_ready = not (now and why == "recovering")
        cleaned.failed = LogFailed(Path("log"), "full") if now and why == "halted" else None

    stand_still(True)
    async with Cleaner(cleaned, cleaned):
        await asyncio.sleep(0.1)
        assert cleaned.begun == 0
        stand_still(False)
        await until(lambda: cleaned.begun == 1)


async def test_cleaning_goes_on_after_errors_and_ends_the_worker_where_the_log_is_damaged(cleaned: Any) -> None:
    ends = [None, EmbeddedLogError("no room"), None, damage := LogBlockCorrupt(Path("log"), "checksum")]
    async with Cleaner(cleaned, cleaned):
        for number, end in enumerate(ends, 1):
            await until(lambda: cleaned.begun == number)  # noqa: B023  (asked now)
            assert cleaned.hopeless == []
            cleaned.ends.put_nowait(end)
        await until(lambda: cleaned.hopeless == [str(damage)])


class Halted:
    """An app with a table in two assigned partitions, and its log; each thing that is done is noted."""

    path = Path("log")

    def __init__(self, folder: Path, failures: list[Exception]) -> None:
        self.done: list[Any] = []
        self._failures = failures
        self.hopeless: list[str] = []
        self.on_hopeless = self.hopeless.append
        topic = SimpleNamespace(get_topic_name=lambda: "rows-changelog")
        data = SimpleNamespace(path=folder, revoke_partitions=self.close, _db_for_partition=self.open)
        self.table = SimpleNamespace(data=data, changelog_topic=topic)
        self.tables = Tables(rows=self.table)
        self.tables.recovery = SimpleNamespace(revoke=lambda tp: self.done.append(("forget", tp.partition)))
        assigned = {TP("rows-changelog", 0), TP("rows-changelog", 1), TP("calls", 2)}
        self.consumer = SimpleNamespace(assignment=lambda: assigned)

    def close(self, table: object, tps: set[TP]) -> None:
        assert table is self.table
        self.done.append(("close", *sorted(tp.partition for tp in tps)))

    def open(self, partition: int) -> None:
        self.done.append(("open", partition))

    async def _stop_fetcher(self) -> None:
        self.done.append("stop delivery")

    async def reopen(self) -> None:
        if self._failures:
            raise self._failures.pop()
        self.done.append("open the log")


class Tables(dict[str, Any]):
    """The tables of an app."""

    recovery: Any


@pytest.mark.parametrize(
    "failure", [None, LogFailed(Path("log"), "full"), Exception("RocksDB"), LogFormatMismatch(Path("log"), "2", "1")]
)
async def test_after_a_halt_the_tables_and_then_the_log_are_opened_again_until_all_could_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception | None
) -> None:
    monkeypatch.setattr("app.embedded.reopening.FIRST_PAUSE", 0.01)
    checked: list[set[Path]] = []
    monkeypatch.setattr("app.embedded.reopening.check_room", checked.append)
    app: Any = Halted(tmp_path, [] if failure is None else [failure])
    async with asyncio.timeout(10):
        await reopen(app, app)
    tries = 1 if failure is None else 2
    assert checked == [{tmp_path, app.path}] * tries
    assert app.done[-1] == "open the log"
    done = [step for step in app.done if step != "open the log"]
    one = done[: len(done) // tries]
    assert done == one * tries
    assert (one[0], one[-1]) == (("close", 0, 1), "stop delivery")
    assert sorted(one[1:-1]) == [("forget", 0), ("forget", 1), ("open", 0), ("open", 1)]
    assert app.hopeless == ([str(failure)] if isinstance(failure, LogFormatMismatch) else [])
