import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from app.embedded import keys
from app.embedded.errors import LogFormatMismatch, LogUnavailable
from app.embedded.log import Log
from app.embedded.room import check_room
from app.embedded.store import open_database

OPEN = """
import sys
from app.embedded.log import Log
Log(sys.argv[1])
"""

# Without privileges, a test can only simulate a full disk by a limit on the size of files.
FULL_DISK = """
import asyncio, resource, sys
from app.embedded.errors import LogFailed
from app.embedded.log import Log

async def main():
    log = Log(sys.argv[1])
    log.create_topic("calls", 1)
    await log.append("calls", 0, None, b"before")
    await log.commit("group", {("calls", 0): 1})
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    lost = [log.append("calls", 0, None, bytes(50_000)) for _ in range(5)]
    commit = log.commit("group", {("calls", 0): 6})
    for future in [*lost, commit]:
        try:
            await future
        except LogFailed:
            continue
        sys.exit("reported as durable")
    assert isinstance(log.failed, LogFailed), log.failed
    assert log.highwater("calls", 0) == 1
    assert log.committed("group", "calls", 0) == 1
    for use in (
        lambda: log.append("calls", 0, None, b""),
        lambda: log.commit("group", {("calls", 0): 1}),
        lambda: log.create_topic("other", 1),
    ):
        try:
            use()
        except LogFailed as exc:
            print(exc)
            continue
        sys.exit("accepted after the failure")
    try:
        await log.flush()
    except LogFailed:
        await log.close()
        return
    sys.exit("flushed after the failure")

asyncio.run(main())
"""


def run(script: str, path: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, timeout=60)


async def test_second_process_is_refused_with_one_sentence_that_names_the_path(tmp_path: Path) -> None:
    log = Log(tmp_path)
    refused = run(OPEN, tmp_path)
    await log.close()
    assert refused.returncode != 0
    assert refused.stderr.splitlines()[-1] == (
        f"app.embedded.errors.LogLocked: The log at {tmp_path} is open in another process: "
        "stop that process, or give this one a path of its own."
    )
    assert run(OPEN, tmp_path).returncode == 0


def test_a_log_whose_lock_cannot_be_made_is_not_said_to_be_open_in_another_process(tmp_path: Path) -> None:
    (tmp_path / "LOCK").mkdir()  # what fails on a read-only disk is the same call
    with pytest.raises(LogUnavailable, match="cannot be opened") as refused:
        open_database(tmp_path)
    assert "while open a file for lock" in str(refused.value)


def test_failed_write_stops_appends_flushes_and_commits_for_good(tmp_path: Path) -> None:
    failed = run(FULL_DISK, tmp_path)
    assert failed.returncode == 0, failed.stderr
    assert f"{tmp_path} cannot be written" in failed.stdout


@pytest.mark.parametrize("version", ["0", "99"])
def test_log_of_an_older_or_newer_format_is_refused_with_what_to_do(tmp_path: Path, version: str) -> None:
    database = open_database(tmp_path)
    database.put(keys.VERSION, version.encode())
    database.close()
    with pytest.raises(LogFormatMismatch) as refused:
        Log(tmp_path)
    assert str(refused.value) == (
        f"The log at {tmp_path} has format {version} and this version reads format 1: "
        "open it with the version that wrote it, or start with another path."
    )


def test_path_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LogUnavailable, match="cannot be opened"):
        Log(tmp_path / "file")


# A limit on the size of a file makes the write of a slice fail in the middle of a cleaning.
FULL_DISK_AMID_CLEANING = """
import asyncio, resource, sys
from app.embedded.errors import CleaningStopped, LogFailed
from app.embedded.log import Log

async def main():
    log = Log(sys.argv[1])
    log.create_topic("rows", 1, {"cleanup.policy": "compact"})
    for n in range(20_000):
        log.append("rows", 0, b"%d" % (n % 5_000), b"%d" % n)
    await log.flush()
    size = max(path.stat().st_size for path in log.path.iterdir())
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20_000, resource.RLIM_INFINITY))
    try:
        await log.compact("rows")
    except CleaningStopped as exc:
        print(exc)
    assert log.failed is None
    for use in (log.append("rows", 0, b"0", bytes(50_000)), log.flush()):
        try:
            await use
        except LogFailed:
            continue
        sys.exit("taken by a disk that is full")

asyncio.run(main())
"""


async def test_cleaning_that_cannot_write_stops_and_costs_nothing(tmp_path: Path) -> None:
    failed = run(FULL_DISK_AMID_CLEANING, tmp_path)
    assert failed.returncode == 0, failed.stderr
    assert f"Cleaning the log at {tmp_path} stopped" in failed.stdout
    log = Log(tmp_path)
    for _ in range(2):  # as it was left, and after another cleaning
        there = {record.key: record.value for record in log.read("rows", 0, 0, 1 << 30, 1 << 30)}
        assert there == {b"%d" % (n % 5_000): b"%d" % n for n in range(15_000, 20_000)}
        await log.compact("rows")
    assert len(log.read("rows", 0, 0, 1 << 30, 1 << 30)) == 5_000
    await log.close()


def test_where_a_system_cannot_set_room_aside_a_halted_log_goes_on_once_there_is_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "posix_fallocate")
    check_room([tmp_path])
    usage = shutil.disk_usage(tmp_path)._replace(free=1024**2)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OSError, match="No space left"):
        check_room([tmp_path])
