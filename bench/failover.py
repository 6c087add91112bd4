"""What standby replicas of the tables gain when one of two workers is killed, and what they cost."""

import asyncio
import shutil
import time
from pathlib import Path
from statistics import median
from typing import Any

from bench import load, restarts
from bench.workers import Workers, rounded
from kafka.cluster import Cluster
from tests.service import Service, answered, attempts

RUNS = 3
CALLS, REFS = 1_000, 10  # of each submission that is measured
PROBE_CALLS = 200


def failovers(kafka: Cluster, folder: Path, scores: int) -> list[dict[str, Any]]:
    """Without standby replicas and with one, on tables with `scores` scores."""
    alone = Workers(kafka, folder, 1)
    try:
        restarts.fill(alone, scores)
        alone.stop()
    finally:
        alone.kill()
    return [failover(kafka, folder, standbys) for standbys in (0, 1)]


def failover(kafka: Cluster, folder: Path, standbys: int) -> dict[str, Any]:
    """Two workers recover and work, and one of them is killed, several times."""
    workers = Workers(kafka, folder, 2, standby_replicas=standbys)
    shutil.rmtree(workers.data_dir)
    try:
        workers.start(1)
        workers.start(2)
        settle(workers)
        disk = workers.table_bytes()
        refs = workers.publish(REFS)
        workers.score(f"standby-{standbys}-warm", 200, refs)
        costs = [workers.score(f"standby-{standbys}-{n}", CALLS, refs) for n in range(RUNS)]
        pauses = [lose(workers, workers.all[n % 2], f"lost-{standbys}-{n}", refs) for n in range(RUNS)]
    finally:
        workers.kill()
    return rounded(
        standby_replicas=standbys,
        seconds_until_all_answer=median(answered for answered, _ in pauses),
        slowest=max(answered for answered, _ in pauses),
        seconds_until_all_score=median(scored for _, scored in pauses),
        worker_us_per_task=median(cost.worker_us for cost in costs),
        broker_us_per_task=median(cost.broker_us for cost in costs),
        table_mb=disk / 1e6,
    )


def lose(workers: Workers, lost: Service, name: str, refs: list[str]) -> tuple[float, float]:
    """Kill a worker: seconds until every partition answers, and until tasks in all of them are scored.

    Afterwards it is started again with an empty folder, so the other worker never has its tables except as standbys.
    """
    settle(workers)
    [left] = [worker for worker in workers.all if worker is not lost]
    call_ids = asyncio.run(load.log_calls(left, name, PROBE_CALLS))
    folder = instance_of(workers, lost)
    lost.kill()
    killed = time.perf_counter()
    request = answered(lambda: left.submit(load.PROJECT, call_ids, refs), 600)
    workers.wait_whole(left)
    whole = time.perf_counter() - killed
    answered(lambda: left.wait_finished(request), 600)
    scored = time.perf_counter() - killed
    shutil.rmtree(folder)
    workers.start()
    return whole, scored


def settle(workers: Workers, quiet: float = 5.0) -> None:
    """Wait until all tables are recovered. Standbys report nothing, so it waits until no folder grows."""
    size, since = -1, time.monotonic()
    for _ in attempts(600):
        now = workers.table_bytes()
        if now != size:
            size, since = now, time.monotonic()
        elif time.monotonic() - since > quiet:
            return
    raise AssertionError("the tables keep growing")


def instance_of(workers: Workers, worker: Service) -> Path:
    """The instance folder that a worker has locked."""
    held = {link.resolve() for link in Path(f"/proc/{worker.pid}/fd").iterdir()}
    return next(lock.parent for lock in workers.data_dir.resolve().glob("*/lock") if lock in held)
