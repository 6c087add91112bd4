"""The time until a restarted worker is ready, with its tables on disk and without them."""

import re
import shutil
import time
from pathlib import Path
from statistics import median
from typing import Any

from bench.workers import Workers, rounded
from kafka.cluster import Cluster
from tests.service import Service, attempts

RUNS = 3
REFS = 10
SLICE = 5_000  # calls per submission
PROGRESS = re.compile(r"\d+ % of (\d+) changelog records")


def fill(workers: Workers, scores: int) -> dict[str, Any]:
    """Make `scores` scores with one worker; returns their cost and size on disk."""
    workers.start(1)
    refs = workers.publish(REFS)
    costs = [workers.score(f"fill-{n}", SLICE, refs) for n in range(scores // REFS // SLICE)]
    sizes = {f"bytes_per_task_{topic}": size / scores for topic, size in workers.log_bytes().items()}
    return rounded(
        scores=scores,
        tasks_per_second=median(cost.rate for cost in costs),
        worker_us_per_task=median(cost.worker_us for cost in costs),
        broker_us_per_task=median(cost.broker_us for cost in costs),
        table_bytes_per_task=workers.table_bytes() / scores,
        **sizes,
    )


def with_tables(workers: Workers) -> list[dict[str, Any]]:
    """Restart a worker that was stopped, and one that was killed."""
    worker = workers.all[0]
    rows = []
    for end in (worker.stop, worker.kill):
        taken = []
        for _ in range(RUNS):
            end()
            taken.append(ready_seconds(worker)[0])
        rows.append(rounded(after=end.__name__, seconds_to_ready=median(taken), slowest=max(taken)))
    return rows


def without_tables(workers: Workers) -> dict[str, Any]:
    """Restart a worker that has lost its tables, and reads all changelogs."""
    worker = workers.all[0]
    worker.stop()
    shutil.rmtree(workers.data_dir)
    seconds, reasons = ready_seconds(worker)
    records = max((int(found[1]) for text in reasons if (found := PROGRESS.search(text))), default=0)
    return rounded(
        seconds_to_ready=seconds,
        changelog_records=records,
        records_per_second=records / seconds,
        readyz=[text for text in reasons if PROGRESS.search(text)][:: max(1, len(reasons) // 5)],
        log=[line for line in worker.log().splitlines() if PROGRESS.search(line)][-3:],
    )


def ready_seconds(worker: Service) -> tuple[float, list[str]]:
    """Start a worker; returns seconds until it is ready, and the different reasons that /readyz gave before."""
    started = time.perf_counter()
    worker.spawn()
    reasons: list[str] = []
    for _ in attempts(1800):
        assert worker.runs, worker.log()
        try:
            answer = worker.get("/readyz")
        except OSError:
            continue
        if answer.status == 200:
            return time.perf_counter() - started, reasons
        if answer.json["reason"] not in reasons:
            reasons.append(answer.json["reason"])
    raise AssertionError(f"not ready: {worker.log()}")


def restarts(kafka: Cluster, folder: Path, scores: int) -> dict[str, Any]:
    """With and without tables on disk, for `scores` scores."""
    workers = Workers(kafka, folder, 1)
    try:
        filled = fill(workers, scores)
        return {"filled": filled, "with_tables": with_tables(workers), "without_tables": without_tables(workers)}
    finally:
        workers.kill()
