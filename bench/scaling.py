"""One worker and two: the rate with slow scorers, and the cost of a task whose scorer does next to nothing."""

from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from bench import machine
from bench.restarts import ready_seconds
from bench.slow_scorers import SECONDS
from bench.workers import Cost, Workers, rounded
from kafka.cluster import Cluster

RUNS = 3
# So few that the 200 ms of the scorers are the limit and not the CPU: 40 places allow 200 tasks per second, which take
# about a tenth of a core.
PLACES = 40
SLOW_TASKS = 4_000
NO_OP_CALLS, NO_OP_REFS = 2_000, 10
PARTITIONS = (8, 32, 128)


def slow(kafka: Cluster, folder: Path) -> list[dict[str, Any]]:
    """Scorers of 200 ms on one worker, then on two."""
    workers = Workers(kafka, folder, 2, scorers="bench.slow_scorers", scorer_concurrency=PLACES)

    def run(name: str) -> Cost:
        refs = workers.running[0].refs("slow")
        return workers.score(name, SLOW_TASKS, refs)

    def row(number: int, costs: list[Cost]) -> dict[str, Any]:
        return rounded(
            workers=number,
            tasks=SLOW_TASKS,
            tasks_per_second=median(cost.rate for cost in costs),
            at_most=number * PLACES / SECONDS,
            cores_of_workers=median(cost.worker_cpu / cost.seconds for cost in costs),
        )

    return one_then_two(workers, "slow", run, row, "tasks_per_second")


def two_workers(kafka: Cluster, folder: Path) -> list[dict[str, Any]]:
    """Scorers that do next to nothing on one worker, then on two. They share the cores, so compare the CPU time."""
    workers = Workers(kafka, folder, 2)
    refs: list[str] = []

    def run(name: str) -> Cost:
        if not refs:
            refs.extend(workers.publish(NO_OP_REFS))
            workers.score("no-op-warm", 500, refs)
        return workers.score(name, NO_OP_CALLS, refs)

    def row(number: int, costs: list[Cost]) -> dict[str, Any]:
        return rounded(
            workers=number,
            tasks=NO_OP_CALLS * NO_OP_REFS,
            tasks_per_second=median(cost.rate for cost in costs),
            worker_us_per_task=median(cost.worker_us for cost in costs),
            broker_us_per_task=median(cost.broker_us for cost in costs),
        )

    return one_then_two(workers, "no-op", run, row, "worker_us_per_task")


def partitions(kafka: Cluster, folder: Path) -> list[dict[str, Any]]:
    """One worker with 8, 32 and 128 partitions, and scorers that do next to nothing."""
    rows = []
    for number in PARTITIONS:
        home = folder / f"partitions-{number}"
        home.mkdir()
        workers = Workers(kafka, home, 1, prefix=f"{home.name}-", partitions=number)
        try:
            workers.start()
            refs = workers.publish(NO_OP_REFS)
            workers.score("warm", 500, refs)
            costs = [workers.score(f"run-{n}", NO_OP_CALLS, refs) for n in range(RUNS)]
            memory = machine.memory_mb(workers.all[0].pid, peak=True)
            workers.stop()
            ready, _ = ready_seconds(workers.all[0])
        finally:
            workers.kill()
        rows.append(
            rounded(
                partitions=number,
                worker_us_per_task=median(cost.worker_us for cost in costs),
                broker_us_per_task=median(cost.broker_us for cost in costs),
                peak_memory_mb=memory,
                seconds_to_ready=ready,
            )
        )
    return rows


def one_then_two(
    workers: Workers,
    name: str,
    run: Callable[[str], Cost],
    row: Callable[[int, list[Cost]], dict[str, Any]],
    compared: str,
) -> list[dict[str, Any]]:
    """A row for one worker and one for two, with the ratio of what is compared."""
    rows: list[dict[str, Any]] = []
    try:
        for number in (1, 2):
            workers.start(number)
            rows.append(row(number, [run(f"{name}-{number}-{n}") for n in range(RUNS)]))
    finally:
        workers.kill()
    for found in rows:
        found["ratio"] = round(found[compared] / rows[0][compared], 3)
    return rows
