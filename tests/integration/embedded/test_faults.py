"""Whichever file call fails, acknowledged records are in the embedded log, and no partial one is."""

import errno
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from app.exits import EXIT_UNSYNCED
from tests.faults.promises import check
from tests.faults.shim import READ_ONLY, Calls, Shim
from tests.service import ROOT, attempts

COUNT = 400
TRIES = int(os.environ.get("CALLSCORE_TEST_FAULTS", "1"))


class Run:
    """One process that appends in `folder`."""

    def __init__(self, shim: Shim, folder: Path) -> None:
        self._shim, self._folder = shim, folder
        shutil.rmtree(folder)
        folder.mkdir()
        command = [sys.executable, "-m", "tests.faults.appender", str(folder), str(COUNT)]
        self._process = subprocess.Popen(command, cwd=ROOT, env=shim.environment, stderr=subprocess.PIPE)

    def wait_failed(self) -> bool:
        """Wait until a call has failed; False if the process ended before."""
        for _ in attempts(60):
            if self._shim.failed > 0 or self._process.poll() is not None:
                break
        return self._shim.failed > 0

    def wait(self) -> int:
        assert self._process.stderr is not None
        said = self._process.stderr.read().decode()
        code = self._process.wait(60)
        assert code in (0, EXIT_UNSYNCED, 1), said
        if code == 1:
            assert "LogUnavailable" in said, said  # the log could not be opened at all
        return code

    def acks(self) -> list[str]:
        path = self._folder / "acks"
        return path.read_text().splitlines() if path.exists() else []


def calls_made(shim: Shim, folder: Path, calls: Calls) -> int:
    """How many calls of this kind a run makes."""
    shim.fail(calls, after=10**9)
    assert Run(shim, folder).wait() == 0
    return 10**9 - shim.left


@pytest.mark.parametrize(
    ("calls", "error", "torn"),
    [
        (Calls.WRITE, errno.ENOSPC, False),
        (Calls.WRITE, errno.ENOSPC, True),
        (Calls.WRITE, errno.EIO, True),
        (READ_ONLY, errno.EROFS, False),
        (Calls.SYNC, errno.EIO, False),
    ],
    ids=["disk-full", "disk-full-torn", "write-error-torn", "read-only", "sync-error"],
)
def test_a_call_that_fails_at_any_time_loses_nothing_and_when_it_works_again_the_log_goes_on(
    shim: Shim, tmp_path: Path, calls: Calls, error: int, torn: bool
) -> None:
    folder = tmp_path / "watched"
    total = calls_made(shim, folder, calls)
    seed = random.randrange(2**32)
    print(f"seed {seed}: {total} calls")
    chance = random.Random(seed)
    codes = []
    for _ in range(TRIES):
        after = chance.randrange(total)
        shim.fail(calls, error, after=after, torn=torn)
        run = Run(shim, folder)
        run.wait_failed()
        if chance.random() < 0.5:  # let it retry and fail
            first = shim.failed
            any(shim.failed > first + 3 for _ in attempts(0.5))
        shim.heal()
        codes.append(run.wait())
        acks = run.acks()
        check(folder / "log", acks)
        if codes[-1] == 0:
            assert sum(ack[0] == "a" for ack in acks) > COUNT - 50  # it continued
    print(f"exit codes {codes}")
    assert set(codes) <= ({0, EXIT_UNSYNCED, 1} if calls == Calls.SYNC else {0, 1})
