"""The cost of a task by the size of a submission as tables grow, the size on disk, and the time to restart."""

import asyncio
from pathlib import Path
from typing import Any

from app.upkeep.compacting import compact
from bench import disk, machine
from bench.restarts import ready_seconds
from bench.workers import Cost, Workers, rounded
from kafka.cluster import Cluster

REFS = 10
WARM_CALLS = 200
SMALLEST = 1_000  # tasks
LARGEST_SUBMISSION = 1_000_000  # tasks; larger ones are split
MOST_COPIED = 200_000  # scores; beyond that, measuring the size on disk takes minutes
AT_LEAST = 20_000  # tasks of each size, since CPU time has a resolution of 10 ms


def growth(kafka: Cluster | None, folder: Path, largest: int) -> dict[str, Any]:
    """Submissions of more and more tasks, up to `largest`, on one worker."""
    workers = Workers(kafka, folder)
    try:
        workers.start()
        rows = fill(workers, largest)
        scores = rows[-1]["scores"]
        peak = machine.memory_mb(workers.all[0].pid, peak=True)
        ready = restarted(workers)
    finally:
        workers.kill()
    costs = [row["worker_us_per_task"] for row in rows]
    found = {
        "cost_per_task": rows,
        "dearest_over_cheapest": round(max(costs) / min(costs), 3),
        "peak_memory_mb": round(peak),
        "ready_again": rounded(scores=scores, seconds=ready),
    }
    return found if scores > MOST_COPIED else found | {"bytes_per_score": bytes_per_score(workers, scores)}


def fill(workers: Workers, largest: int) -> list[dict[str, Any]]:
    refs = workers.publish(REFS)
    workers.score("warm", WARM_CALLS, refs)
    scores, rows = WARM_CALLS * REFS, []
    for size in sizes(largest):
        pause = min(1.0, size / 10_000)  # rarely polled, and rarely idle before the client notices
        costs = [workers.score(f"{size}-{n}", tasks // REFS, refs, pause) for n, tasks in enumerate(submissions(size))]
        scores += sum(cost.tasks for cost in costs)
        rows.append(row(workers, size, scores, costs))
    return rows


def sizes(largest: int) -> list[int]:
    """1,000, 10,000 and so on, up to `largest`."""
    found = [SMALLEST]
    while found[-1] * 10 <= largest:
        found.append(found[-1] * 10)
    return found


def submissions(size: int) -> list[int]:
    """The number of tasks of each submission with which a size is measured."""
    if size <= LARGEST_SUBMISSION:
        return [size] * max(1, AT_LEAST // size)
    return [LARGEST_SUBMISSION] * (size // LARGEST_SUBMISSION)


def row(workers: Workers, size: int, scores: int, costs: list[Cost]) -> dict[str, Any]:
    tasks = sum(cost.tasks for cost in costs)
    return rounded(
        tasks=size,
        scores=scores,
        tasks_per_second=round(tasks / sum(cost.seconds for cost in costs)),
        worker_us_per_task=round(sum(cost.worker_cpu for cost in costs) / tasks * 1e6, 1),
        broker_us_per_task=round(sum(cost.broker_cpu for cost in costs) / tasks * 1e6, 1),
        memory_mb=round(machine.memory_mb(workers.all[0].pid, peak=False)),
    )


def restarted(workers: Workers) -> float:
    """Seconds until a stopped worker is ready again; it is stopped afterwards."""
    workers.stop()
    seconds, _ = ready_seconds(workers.all[0])
    workers.stop()
    return seconds


def bytes_per_score(workers: Workers, scores: int) -> list[dict[str, Any]]:
    """The size of each topic and table of stopped workers; an embedded log is compacted before."""
    if workers.kafka is None:
        asyncio.run(compact(workers.data_dir / "log", None))
    sizes = {f"topic {name}": size for name, size in workers.log_bytes().items()}
    sizes |= {f"table {name}": size for name, size in disk.tables(workers.data_dir).items()}
    rows = [{"what": name, "bytes_per_score": round(size / scores, 1)} for name, size in sizes.items() if size]
    of_calls = ("topic calls", "topic callscore-calls-changelog", "table calls")
    apart = sum(size for name, size in sizes.items() if name not in of_calls)
    rows.append({"what": "all but the calls", "bytes_per_score": round(apart / scores, 1)})
    return rows
