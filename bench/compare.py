"""Compare two checkouts of callscore, as one run of each would be mostly noise.

Both workers run all the time, and take turns. Values are compared within a round, since the load of the machine changes
more slowly than that. The same checkout given twice shows how much is noise.
"""

import argparse
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from bench import load, machine, report
from bench.no_op import CALLS, REFS, Run, in_turns
from bench.workers import Cost, Workers, rounded

ROUNDS = 10


def worker_of(checkout: Path, folder: Path, stack: ExitStack) -> Run:
    """A ready worker that runs the code of a checkout with the packages of this one."""
    folder.mkdir()
    workers = Workers(None, folder)
    stack.callback(workers.kill)
    workers.all[0].extra_environment = {"PYTHONPATH": str(checkout.resolve(strict=True))}
    workers.start()
    refs = workers.publish(REFS)
    return lambda prefix, calls: workers.score(prefix, calls, refs, pause=load.PAUSE)


def compared(first: list[Cost], second: list[Cost]) -> list[dict[str, Any]]:
    """A row for each measure: medians of both, and the median, least and greatest ratio within a round."""
    measures = {
        "worker_us_per_task": ([cost.worker_us for cost in first], [cost.worker_us for cost in second]),
        "tasks_per_second": ([cost.counted_rate for cost in first], [cost.counted_rate for cost in second]),
    }
    rows = []
    for name, (a, b) in measures.items():
        ratios = [after / before for before, after in zip(a, b, strict=True)]
        middle = rounded(a=round(median(a), 1), b=round(median(b), 1), b_over_a=median(ratios))
        rows.append({"measure": name, **middle, **rounded(least=min(ratios), most=max(ratios))})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.compare", description=__doc__)
    parser.add_argument("a", type=Path, metavar="DIR_A", help="a checkout of callscore")
    parser.add_argument("b", type=Path, metavar="DIR_B", help="another checkout")
    parser.add_argument("rounds", type=int, nargs="?", default=ROUNDS, metavar="ROUNDS", help=f"{ROUNDS} by default")
    options = parser.parse_args()
    with ExitStack() as stack:
        home = Path(stack.enter_context(TemporaryDirectory(prefix="callscore-bench-")))
        runs = {
            name: worker_of(checkout, home / name, stack) for name, checkout in (("a", options.a), ("b", options.b))
        }
        costs = in_turns(runs, options.rounds, CALLS)
    report.save("compare", {"compared": compared(costs["a"], costs["b"]), "machine": machine.facts()})


if __name__ == "__main__":
    main()
