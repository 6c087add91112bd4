"""Where a measurement runs."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kafka.broker import Runtime
from kafka.cluster import Cluster


@contextmanager
def stage(on_kafka: bool) -> Iterator[tuple[Cluster | None, Path]]:
    """A temporary folder, and a Kafka of one broker if asked for."""
    with tempfile.TemporaryDirectory(prefix="callscore-bench-") as folder:
        if not on_kafka:
            yield None, Path(folder)
            return
        kafka = Cluster(Path(folder) / "kafka", runtime=Runtime())
        kafka.start()
        try:
            yield kafka, Path(folder)
        finally:
            kafka.kill()
