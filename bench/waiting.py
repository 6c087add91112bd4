"""Ten scorers per call that only wait 200 ms: how close a worker comes to the ideal rate."""

from pathlib import Path
from statistics import median
from typing import Any

from bench.slow_scorers import SECONDS
from bench.workers import Workers, rounded
from kafka.cluster import Cluster

PLACES = (200, 2_000)  # tasks in flight
TURNS = 20  # tasks per place
SCORERS = 10
ROUNDS = 3


def waiting(kafka: Cluster | None, folder: Path) -> list[dict[str, Any]]:
    """Median rates, as a share of the ideal one, and the CPU cost of a task."""
    return [in_flight(kafka, folder / str(places), places) for places in PLACES]


def in_flight(kafka: Cluster | None, folder: Path, places: int) -> dict[str, Any]:
    folder.mkdir()
    # All scorers together fill `places` places; a scorer may hold no more than it leaves free, hence twice as many.
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
