"""The performance goals on two cores, on the embedded log and on Kafka, next to what was measured."""

from collections.abc import Callable, Mapping
from operator import ge, le
from typing import Any, NamedTuple

Results = Mapping[str, Any]


class Goal(NamedTuple):
    """A measure and its limits on the embedded log and on Kafka; None if it is only reported."""

    measure: str
    reaches: Callable[[float, float], bool]  # arguments: measured value, limit
    embedded: float | None
    kafka: float | None
    find: Callable[[Results], float]  # raises LookupError if it was not measured


def _row(results: Results, part: str, number: int) -> Any:
    return results[part][number]


_SMALL = "submit_100_ids_x_3"
_FASTER = "callscore_is_faster_by"

GOALS = (
    Goal("tasks/s, no-op", ge, 10_000, 4_000, lambda found: _row(found, "no_op", 0)["tasks_per_second"]),
    Goal("times the peer that may lose a second", ge, 6, 2, lambda found: _row(found, "no_op", 1)[_FASTER]),
    Goal("times the peer that loses nothing", ge, 6, 2, lambda found: _row(found, "no_op", 2)[_FASTER]),
    Goal("200 in flight, of ideal", ge, 0.97, 0.95, lambda found: _row(found, "waiting", 0)["share_of_ideal"]),
    Goal("2,000 in flight, of ideal", ge, 0.90, 0.85, lambda found: _row(found, "waiting", 1)["share_of_ideal"]),
    Goal("submit, 64 clients each second, p50 ms", le, 5, 15, lambda found: _row(found, _SMALL, 1)["p50_ms"]),
    Goal("submit, 64 clients each second, p99 ms", le, 20, 60, lambda found: _row(found, _SMALL, 1)["p99_ms"]),
    Goal("submit, 64 clients at once, p50 ms", le, 5, 15, lambda found: _row(found, _SMALL, 2)["p50_ms"]),
    Goal("submit, 64 clients at once, p99 ms", le, 20, 60, lambda found: _row(found, _SMALL, 2)["p99_ms"]),
    Goal("100,000 ids x 10 accepted, s", le, 1.5, 3, lambda found: found["accept_100000_ids_x_10"]["seconds"]),
    Goal("dearest task over cheapest", le, 1.15, 1.15, lambda found: found["dearest_over_cheapest"]),
    Goal("memory at its peak, MB", le, 300, 300, lambda found: found["peak_memory_mb"]),
    Goal("score by key while scoring, p99 ms", le, 10, 15, lambda found: _row(found, "reading", 1)["p99_ms"]),
    Goal("bytes per score", le, 600, None, lambda found: _row(found, "bytes_per_score", -1)["bytes_per_score"]),
    Goal("ready after restart, s", le, 5, 10, lambda found: found["ready_again"]["seconds"]),
)


def table(results: Results, on_kafka: bool) -> list[dict[str, Any]]:
    """A row for each goal that was measured."""
    rows = []
    for goal in GOALS:
        try:
            measured = goal.find(results)
        except LookupError:
            continue
        limit = goal.kafka if on_kafka else goal.embedded
        reached = "" if limit is None else "yes" if goal.reaches(measured, limit) else "no"
        sign = "at least" if goal.reaches is ge else "at most"
        stated = "" if limit is None else f"{sign} {limit:,}"
        rows.append({"measure": goal.measure, "goal": stated, "measured": measured, "reached": reached})
    return rows
