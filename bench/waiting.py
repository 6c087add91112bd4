"""Ten scorers of 200 ms that only wait, on each call: how close a worker comes to doing nothing but that."""

from pathlib import Path
from statistics import median
from typing import Any

from bench.slow_scorers import SECONDS
from bench.workers import Workers, rounded
from kafka.cluster import Cluster

PLACES = (200, 2_000)  # tasks in flight
TURNS = 20  # of each place
SCORERS = 10
ROUNDS = 3


def waiting(kafka: Cluster | None, folder: Path) -> list[dict[str, Any]]:
    """The share of the ideal rate, medians; what a task costs while nobody else is in its way."""
    return [in_flight(kafka, folder / str(places), places) for places in PLACES]


def in_flight(kafka: Cluster | None, folder: Path, places: int) -> dict[str, Any]:
    folder.mkdir()
    # So that the scorers together hold as many places as are wanted, of as many as leave each its part.
    workers = Workers(
        kafka,
        folder,
        prefix=f"{places}-",
        scorers="bench.slow_scorers",
        scorer_concurrency=places // SCORERS,
        concurrency=2 * places,
    )
    try:
        workers.start()
        refs = workers.publish(SCORERS, lambda number: ("SlowWith", {"number": number}))
        workers.score("warm", places // SCORERS, refs)
        costs = [workers.score(f"round-{number}", places * TURNS // SCORERS, refs) for number in range(ROUNDS)]
    finally:
        workers.kill()
    ideal = places / SECONDS
    return rounded(
        in_flight=places,
        tasks=places * TURNS,
        tasks_per_second=round(median(cost.rate for cost in costs)),
        ideal=round(ideal),
        share_of_ideal=median(cost.rate for cost in costs) / ideal,
        worker_us_per_task=round(median(cost.worker_us for cost in costs)),
    )
