"""Print the table of docs/sizing.md, from measured and assumed values: `python -m bench.sizing`."""

from dataclasses import dataclass
from math import ceil

DAY = 86_400  # seconds
SIZES = {"1 M": 10**6, "100 M": 10**8, "10 G": 10**10}  # tasks a day


@dataclass(frozen=True)
class Measured:
    """Measured by `make bench-kafka` with one broker, one replica, and ten no-op scorers per call of 1 KiB."""

    worker_us: float = 290  # CPU of a worker per task
    broker_us: float = 75  # CPU of the broker per task
    primary_bytes: float = 690  # written to primary topics per task, including a tenth of its call
    changelog_bytes: float = 609  # written to changelogs per task, before compaction
    changelog_records: float = 1.24  # the same, in records
    table_bytes: float = 161  # in a worker's tables per task
    recovered: float = 90_000  # changelog records per second that a worker reads into empty tables


@dataclass(frozen=True)
class Assumed:
    """Not measured: replace these by your own values."""

    peak: float = 3  # busiest hour / mean of the day
    busy: float = 0.6  # share of a core that a worker may use at the peak; it has one event loop
    replicas: int = 3
    broker_cores: int = 8
    broker_mb: float = 100  # per second that a broker writes and sends
    spread: int = 4  # partitions per worker, to have room to grow
    kept_days: int = 30  # of tasks in the tables when a worker is lost


def need(tasks: int, measured: Measured = Measured(), assumed: Assumed = Assumed()) -> dict[str, str]:
    """What `tasks` tasks a day need: the rows of the table."""
    written = measured.primary_bytes + measured.changelog_bytes
    peak = tasks / DAY * assumed.peak
    workers = max(2, ceil(peak * measured.worker_us / 1e6 / assumed.busy))
    cores = peak * measured.broker_us * assumed.replicas / 1e6 / assumed.busy
    disks = peak * written * assumed.replicas / 1e6 / assumed.broker_mb
    partitions = max(8, workers * assumed.spread)
    # The partitions of a lost worker are divided among the others, which recover their shares in parallel.
    shares = ceil(ceil(partitions / workers) / (workers - 1))
    lost = tasks * assumed.kept_days * measured.changelog_records / partitions * shares
    return {
        "tasks a second at the peak": number(peak),
        "workers": number(workers),
        "partitions": number(partitions),
        "brokers": number(max(assumed.replicas, ceil(cores / assumed.broker_cores), ceil(disks))),
        "log a day, all replicas": size(tasks * written * assumed.replicas),
        "tables a day, all workers": size(tasks * measured.table_bytes),
        "network at the peak": size(peak * (written * assumed.replicas + measured.primary_bytes)) + "/s",
        "back after losing a worker": time(lost / measured.recovered),
    }


def number(value: float) -> str:
    """Two significant digits, or a small integer in full."""
    return f"{value:,.0f}" if value < 100 else f"{float(f'{value:.2g}'):,.0f}"


def size(value: float) -> str:
    """Bytes in a suitable unit."""
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.2g} {unit}" if value < 10 else f"{value:.0f} {unit}"
        value /= 1000
    return f"{value:,.1f} TB"


def time(seconds: float) -> str:
    """Seconds in a suitable unit."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


def table() -> str:
    """The table in Markdown, a column for each size."""
    needs = [need(tasks) for tasks in SIZES.values()]
    lines = ["| tasks a day | " + " | ".join(SIZES) + " |", "|---|" + "---:|" * len(SIZES)]
    lines += [f"| {name} | " + " | ".join(column[name] for column in needs) + " |" for name in needs[0]]
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
