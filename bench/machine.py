"""Facts about the machine and about processes on it."""

import os
import platform
import tempfile
import time
from contextlib import suppress
from pathlib import Path


def facts() -> dict[str, object]:
    return {
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "fdatasync_p50_ms": round(fdatasync_p50_ms(), 3),
        "load_average": round(os.getloadavg()[0], 1),  # of the last minute, before anything is measured
    }


def fdatasync_p50_ms(times: int = 200) -> float:
    """How long the disk below the temporary folder takes to sync 4 KiB."""
    taken = []
    with tempfile.TemporaryFile() as file:
        for _ in range(times):
            file.write(b"x" * 4096)
            file.flush()
            started = time.perf_counter()
            os.fdatasync(file.fileno())
            taken.append((time.perf_counter() - started) * 1000)
    return sorted(taken)[times // 2]


def cpu_seconds(pid: int) -> float:
    """CPU time that a process and its children have used so far."""
    found = {int(name): stat for name in os.listdir("/proc") if name.isdigit() and (stat := _stat(int(name)))}
    ticks, waiting = 0, [pid]
    while waiting:
        parent = waiting.pop()
        ticks += sum(int(field) for field in found[parent][11:15])  # its own, and that of children that have ended
        waiting += [child for child, stat in found.items() if int(stat[1]) == parent]
    return ticks / os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str]:
    """The fields of /proc/{pid}/stat after the name; none if the process has ended."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()
    except FileNotFoundError:
        return []


def disk_bytes(folder: Path, pattern: str = "*") -> int:
    """Bytes of the files below a folder whose names match; files may come and go meanwhile."""
    total = 0
    for path in folder.rglob(pattern):
        with suppress(FileNotFoundError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def memory_mb(pid: int, peak: bool) -> float:
    """Resident memory of a process now, or at its peak."""
    wanted = "VmHWM:" if peak else "VmRSS:"
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith(wanted))
