"""Scorers that do next to nothing, in turns with a peer that does the same work."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from bench import load
from bench.redis_server import RedisMissing
from bench.workers import Cost, Workers, rounded
from kafka.cluster import Cluster

CALLS, REFS = 1_000, 10  # of one submission
WARM_CALLS = 200
ROUNDS = 5
OURS = "callscore"

Run = Callable[[str, int], Cost]  # of a prefix for new ids, and a number of calls


def no_op(kafka: Cluster | None, folder: Path) -> dict[str, Any]:
    """Tasks per second and CPU per task of callscore and of peers: medians of rounds in which they take turns."""
    with ExitStack() as stack:
        runs = {OURS: ours(kafka, folder, stack)}
        missing: dict[str, Any] = {}
        try:
            runs |= peers(folder, stack)
        except RedisMissing as error:
            missing = {"peer": str(error)}
        costs = in_turns(runs)
    rows = [row(name, costs[name]) for name in runs]
    for found in rows[1:]:
        found["callscore_is_faster_by"] = round(rows[0]["tasks_per_second"] / found["tasks_per_second"], 2)
    rows[0]["callscore_is_faster_by"] = 1.0
    return {"no_op": rows, **missing}


def ours(kafka: Cluster | None, folder: Path, stack: ExitStack) -> Run:
    """A ready worker."""
    workers = Workers(kafka, folder)
    stack.callback(workers.kill)
    workers.start()
    refs = workers.publish(REFS)
    return lambda prefix, calls: workers.score(prefix, calls, refs, pause=load.PAUSE)


def peers(folder: Path, stack: ExitStack) -> dict[str, Run]:
    """A peer that may lose the last second, and one that loses nothing. Raises RedisMissing."""
    try:
        from bench.peer import Peer
    except ImportError:
        raise RedisMissing("No peer is measured, as its packages are missing: run make bench.") from None

    def started(peer: Peer) -> Run:
        stack.callback(peer.kill)
        peer.start()
        return lambda prefix, calls: peer.score(prefix, calls, REFS)

    return {peer.name: started(peer) for peer in (Peer(folder, "everysec"), Peer(folder, "always"))}


def in_turns(runs: dict[str, Run], rounds: int = ROUNDS, calls: int = CALLS) -> dict[str, list[Cost]]:
    """The cost of each run in each round, after a warm-up; every other round has the reverse order."""
    for run in runs.values():
        run("warm", WARM_CALLS)
    costs: dict[str, list[Cost]] = {name: [] for name in runs}
    for number in range(rounds):
        for name in reversed(runs) if number % 2 else runs:
            costs[name].append(runs[name](f"round-{number}", calls))
    return costs


def row(name: str, costs: Sequence[Cost]) -> dict[str, Any]:
    """Rates are as seen by a client that polls until all is done; `store` is the broker, or Redis."""
    rates = [cost.counted_rate for cost in costs]
    return rounded(
        name=name,
        tasks=costs[0].tasks,
        tasks_per_second=round(median(rates)),
        slowest=round(min(rates)),
        fastest=round(max(rates)),
        worker_us_per_task=round(median(cost.worker_us for cost in costs)),
        store_us_per_task=round(median(cost.broker_us for cost in costs)),
    )
