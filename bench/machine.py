"""Facts about the machine and about processes on it."""

import os
import platform
import tempfile
import time


def facts() -> dict[str, object]:
    return {
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "fdatasync_p50_ms": round(fdatasync_p50_ms(), 3),
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
    """CPU time that a process has used so far, its threads included."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int, peak: bool) -> float:
    """Resident memory of a process now, or at its peak."""
    wanted = "VmHWM:" if peak else "VmRSS:"
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith(wanted))
