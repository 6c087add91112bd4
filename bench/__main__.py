"""Measure the service end to end, and a peer next to it, and write bench/results/latest.{json,md}.

With --kafka the service runs on a real Kafka, which needs a JDK 17 and Maven, there are more parts, and results go to
kafka-latest. All processes share the cores of this machine.
"""

import argparse
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import failover, goals, machine, report, restarts, scaling
from bench.growth import growth
from bench.model import model
from bench.no_op import no_op
from bench.reading import reading
from bench.stage import stage
from bench.submitting import submitting
from bench.waiting import waiting
from kafka.cluster import Cluster

TASKS = 100_000
SCORES = 1_000_000
FAILOVER_SCORES = 200_000

Part = Callable[[Cluster | None, Path], Any]
KafkaPart = Callable[[Cluster, Path], Any]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parts: dict[str, Part] = {
        "no_op": no_op,
        "waiting": waiting,
        "submitting": submitting,
        "growth": lambda kafka, folder: growth(kafka, folder, options.tasks),
        "reading": reading,
        "model": model,
    }
    kafka_parts: dict[str, KafkaPart] = {
        "slow": scaling.slow,
        "two_workers": scaling.two_workers,
        "partitions": scaling.partitions,
        "restarts": lambda kafka, folder: restarts.restarts(kafka, folder, options.scores),
        "failovers": lambda kafka, folder: failover.failovers(kafka, folder, options.failover_scores),
    }
    named = f"{', '.join(parts)}; with --kafka {', '.join(kafka_parts)}; all by default"
    parser.add_argument("parts", nargs="*", metavar="PART", help=named)
    parser.add_argument("--tasks", type=int, default=TASKS, help="largest size in `growth`, up to 10000000")
    parser.add_argument("--kafka", action="store_true", help="run on a Kafka of one broker")
    parser.add_argument("--scores", type=int, default=SCORES, help="in the tables, for `restarts`")
    parser.add_argument("--failover-scores", type=int, default=FAILOVER_SCORES, help="in the tables, for `failovers`")
    options = parser.parse_args()
    all_parts = [*parts, *(kafka_parts if options.kafka else ())]
    if unknown := set(options.parts) - set(all_parts):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that child processes are ended, too
    results: dict[str, Any] = {"machine": machine.facts()}
    for name in options.parts or all_parts:
        with stage(options.kafka) as (kafka, folder):
            if kafka is not None and name in kafka_parts:
                found = kafka_parts[name](kafka, folder)
            else:
                found = parts[name](kafka, folder)
        results |= found if isinstance(found, dict) else {name: found}
        reached = {"goals": goals.table(results, on_kafka=options.kafka)}
        report.save("kafka-latest" if options.kafka else "latest", reached | results)  # after each part: all take long


if __name__ == "__main__":
    main()
