"""The power fails at any moment: each acknowledged record survives, and no partial record is ever visible.

A real process's file calls are recorded; then the disk is made as it may be after each of them, and the log opened.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from tests.faults.power import Disk, Luck
from tests.faults.promises import check
from tests.faults.shim import Entry, Shim
from tests.service import ROOT, until

COUNT = 240
MOMENTS = int(os.environ.get("CALLSCORE_TEST_MOMENTS", "60"))  # 0: after every call


def record(shim: Shim, folder: Path) -> list[Entry]:
    """The file calls of a process that appends and is killed, and of the next one, which ends normally."""
    shim.record()
    command = [sys.executable, "-m", "tests.faults.appender", str(folder), str(COUNT)]
    first = subprocess.Popen(command, cwd=ROOT, env=shim.environment)
    acks = folder / "acks"
    until(lambda: acks.exists() and len(acks.read_bytes().splitlines()) > COUNT // 3, seconds=60)
    first.send_signal(signal.SIGKILL)
    first.wait()
    subprocess.run(command, cwd=ROOT, env=shim.environment, check=True, timeout=60)
    return list(shim.journal())


def test_after_a_power_cut_at_any_moment_all_that_was_acknowledged_is_there_and_nothing_half(
    shim: Shim, tmp_path: Path
) -> None:
    watched, place = tmp_path / "watched", tmp_path / "after"
    entries = record(shim, watched)
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    moments = set(range(len(entries)))
    if MOMENTS:
        moments = set(chance.sample(sorted(moments), MOMENTS))
    print(f"seed {seed}: {len(entries)} calls, {sum(entry.call == 's' for entry in entries)} syncs")
    disk, acks, opened = Disk(), b"", 0
    for moment, entry in enumerate(entries):
        if entry.path == str(watched / "acks"):
            acks += entry.data
        else:
            disk.apply(entry)
        if moment not in moments:
            continue
        for luck in Luck:
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            for path, content in disk.after(luck, chance):
                (place / Path(path).name).write_bytes(content)
            try:
                check(place, acks.decode().splitlines())
            except BaseException as error:
                error.add_note(f"after call {moment} of seed {seed}, with {luck.value} of what was not synced")
                raise
            opened += 1
    print(f"{opened} disks opened, {len(acks.splitlines())} acknowledgements")
