"""Count a worker's instructions per task with callgrind: `python -m bench.instructions [DIR ...]`.

Unlike times, they hardly depend on the load of the machine. The worker is some fifty times slower. Its instructions
while it is idle are measured separately, and subtracted. Needs valgrind on the PATH.
"""

import asyncio
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench import load, machine, report
from tests.service import ROOT, Service

CALLS, REFS = 200, 10
PAUSE = 5.0  # seconds between polls, whose instructions are counted, too
IDLE = 20.0  # seconds
TOTALS = re.compile(r"^totals: (\d+)", re.MULTILINE)


class Counted(Service):
    """A worker of another checkout under callgrind, which counts only between `count(True)` and `count(False)`."""

    def __init__(self, folder: Path, checkout: Path) -> None:
        super().__init__(folder / "data", partitions=load.PARTITIONS, stuck_after=3600)
        self._counts = folder / "counts"
        self.command = (
            *("valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={self._counts}"),
            *(sys.executable, *Service.command),
        )
        self.extra_environment = {"PYTHONPATH": str(checkout.resolve(strict=True))}

    def count(self, on: bool) -> None:
        self._control("--instr=on" if on else "--instr=off")

    def counted(self) -> int:
        """Instructions since the last call."""
        before = set(self._counts.parent.glob("counts.*"))
        self._control("--dump")
        [dump] = set(self._counts.parent.glob("counts.*")) - before
        found = TOTALS.search(dump.read_text())
        assert found is not None, dump
        return int(found[1])

    def _control(self, option: str) -> None:
        subprocess.run(("callgrind_control", option, str(self.pid)), check=True, capture_output=True)


async def measure(service: Counted) -> dict[str, Any]:
    refs = await load.publish(service, REFS)
    await load.score(service, await load.log_calls(service, "warm", CALLS), refs, PAUSE)
    service.count(True)
    service.counted()
    await asyncio.sleep(IDLE)
    idle = service.counted() / IDLE
    service.count(False)
    call_ids = await load.log_calls(service, "counted", CALLS)
    service.count(True)
    started = time.perf_counter()
    await load.score(service, call_ids, refs, PAUSE)
    seconds = time.perf_counter() - started
    total = service.counted()
    tasks = CALLS * REFS
    return {
        "instructions_per_task": round((total - idle * seconds) / tasks),
        "idle_instructions_per_second": round(idle),
    }


def of(checkout: Path) -> dict[str, Any]:
    with TemporaryDirectory(prefix="callscore-bench-") as folder:
        service = Counted(Path(folder), checkout)
        try:
            service.spawn()
            service.wait_ready(600)
            return {"checkout": checkout.name, **asyncio.run(measure(service))}
        finally:
            service.kill()


def main() -> int:
    if shutil.which("valgrind") is None:
        print("Instructions cannot be counted: there is no valgrind on the PATH.", file=sys.stderr)
        return 2
    checkouts = [Path(name) for name in sys.argv[1:]] or [ROOT]
    report.save("instructions", {"instructions": [of(checkout) for checkout in checkouts], "machine": machine.facts()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
