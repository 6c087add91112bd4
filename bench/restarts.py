"""How long a worker needs to be ready again with many scores in its tables: with them on disk, and without."""

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
SLICE = 5_000  # calls a submission
PROGRESS = re.compile(r"\d+ % of (\d+) changelog records")


def fill(workers: Workers, scores: int) -> dict[str, Any]:
    """Have so many scores made by one worker; returns what it took and what it left."""
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
    """A worker that was stopped, and one that was killed, starts again on its data directory."""
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
    """A worker starts with nothing, and reads all changelogs."""
    worker = workers.all[0]
    worker.stop()
    shutil.rmtree(workers.data_dir)
    seconds, said = ready_seconds(worker)
    records = max((int(found[1]) for text in said if (found := PROGRESS.search(text))), default=0)
    return rounded(
        seconds_to_ready=seconds,
        changelog_records=records,
        records_per_second=records / seconds,
        readyz_said=[text for text in said if PROGRESS.search(text)][:: max(1, len(said) // 5)],
        log_said=[line for line in worker.log().splitlines() if PROGRESS.search(line)][-3:],
    )


def ready_seconds(worker: Service) -> tuple[float, list[str]]:
    """Start a worker: seconds until it is ready, and the different reasons why it was not."""
    started = time.perf_counter()
    worker.spawn()
    said: list[str] = []
    for _ in attempts(1800):
        assert worker.runs, worker.log()
        try:
            answer = worker.get("/readyz")
        except OSError:
            continue
        if answer.status == 200:
            return time.perf_counter() - started, said
        if answer.json["reason"] not in said:
            said.append(answer.json["reason"])
    raise AssertionError(f"not ready: {worker.log()}")


def restarts(kafka: Cluster, folder: Path, scores: int) -> dict[str, Any]:
    """Everything about restarts, with so many scores in the tables."""
    workers = Workers(kafka, folder, 1)
    try:
        filled = fill(workers, scores)
        return {"filled": filled, "with_tables": with_tables(workers), "without_tables": without_tables(workers)}
    finally:
        workers.kill()
