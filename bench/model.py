"""The CPU cost of a task by itself, and of its call, which all scorers of the call share."""

import asyncio
from itertools import product
from pathlib import Path
from statistics import linear_regression
from typing import Any

from bench import load
from bench.workers import Workers, rounded
from kafka.cluster import Cluster

REFS = (1, 3, 10, 30)  # scorers for each call
TASKS = 12_000  # of each submission
ROUNDS = 3
LOGGED = 4_000  # calls


def model(kafka: Cluster | None, folder: Path) -> dict[str, Any]:
    """Microseconds of CPU per task by the number of scorers per call, and the line that fits them."""
    workers = Workers(kafka, folder)
    try:
        workers.start()
        refs = workers.publish(max(REFS))
        workers.score("warm", 400, refs[:10])
        rows = by_scorers(workers, refs)
        logged = logging(workers)
    finally:
        workers.kill()
    line = linear_regression([1 / found["scorers"] for found in rows], [found["worker_us_per_task"] for found in rows])
    return {
        "cost_by_scorers": rows,
        "us_of_a_task": round(line.intercept),
        "us_of_a_call_in_a_request": round(line.slope),
        "us_of_logging_a_call": round(logged),
    }


def by_scorers(workers: Workers, refs: list[str]) -> list[dict[str, Any]]:
    """The cost of a task by the number of scorers: the minimum of several rounds, as other load only adds to it."""
    costs: dict[int, list[float]] = {number: [] for number in REFS}
    for turn, number in product(range(ROUNDS), REFS):
        cost = workers.score(f"scorers-{number}-{turn}", TASKS // number, refs[:number])
        costs[number].append(cost.worker_us)
    return [rounded(scorers=number, worker_us_per_task=round(min(found))) for number, found in costs.items()]


def logging(workers: Workers) -> float:
    """Microseconds of CPU to log a call of 1 KB, until it is in its table."""
    taken: list[float] = []
    for number in range(ROUNDS):
        before = workers.cpu()
        asyncio.run(load.log_calls(workers.all[0], f"logged-{number}", LOGGED))
        taken.append((workers.cpu() - before) / LOGGED * 1e6)
    return min(taken)
