"""The pipe for start signals leaves nothing behind, however the process before has ended."""

import asyncio
import os
import stat
import subprocess
import sys
from pathlib import Path

from app.scorers.starts import StartAnnouncer, StartSignals

LEAVES_ONE = """
import asyncio, os, signal, sys
from pathlib import Path
from app.scorers.starts import StartSignals

async def main():
    StartSignals(Path(sys.argv[1]))
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def announced(signals: StartSignals) -> None:
    """Wait until what a worker process says has come."""
    came = asyncio.Event()
    with signals.expecting(came.set) as run_id:
        StartAnnouncer().announce(signals.path, run_id)
        async with asyncio.timeout(10):
            await came.wait()


async def test_what_a_killed_process_has_left_goes_and_what_another_of_this_one_uses_stays(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", LEAVES_ONE, str(tmp_path)], check=False)
    assert len(list(tmp_path.iterdir())) == 1
    first = StartSignals(tmp_path)
    second = StartSignals(tmp_path)
    assert {str(path) for path in tmp_path.iterdir()} == {first.path, second.path}
    await announced(first)
    await announced(second)
    first.close()
    second.close()
    assert list(tmp_path.iterdir()) == []


async def test_a_folder_that_cannot_hold_a_pipe_is_passed_over(tmp_path: Path) -> None:
    signals = StartSignals(tmp_path / "not there")
    assert stat.S_ISFIFO(os.stat(signals.path).st_mode)
    await announced(signals)
    signals.close()
    assert not Path(signals.path).parent.exists()
