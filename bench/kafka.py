"""Measure one and two workers on a real Kafka, and write bench/results/kafka.{json,md}.

Needs a JDK 17 and Maven. The broker, the workers and their client share the cores of this machine.
"""

import argparse
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import failover, machine, report, restarts, scaling
from kafka.broker import Runtime
from kafka.cluster import Cluster

SCORES = 1_000_000
FAILOVER_SCORES = 200_000


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.kafka", description=__doc__)
    parts: dict[str, Callable[[Cluster, Path], Any]] = {
        "slow": scaling.slow,
        "no_op": scaling.no_op,
        "partitions": scaling.partitions,
        "restarts": lambda kafka, folder: restarts.restarts(kafka, folder, options.scores),
        "failovers": lambda kafka, folder: failover.failovers(kafka, folder, options.failover_scores),
    }
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(parts) + "; all by default")
    parser.add_argument("--scores", type=int, default=SCORES, help="in the tables, for `restarts`")
    parser.add_argument("--failover-scores", type=int, default=FAILOVER_SCORES, help="in the tables, for `failovers`")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that brokers and workers are ended, too
    results: dict[str, Any] = {"machine": machine.facts()}
    for name in options.parts or parts:
        with tempfile.TemporaryDirectory(prefix="callscore-bench-") as folder:
            kafka = Cluster(Path(folder) / "kafka", runtime=Runtime())
            kafka.start()
            try:
                found = parts[name](kafka, Path(folder))
            finally:
                kafka.kill()
        results |= found if isinstance(found, dict) else {name: found}
        report.save("kafka", results)  # after each part, as they take long


if __name__ == "__main__":
    main()
