"""Workers on a real Kafka, or one on the embedded log, and the resources that they and the broker use."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import disk, load, machine
from kafka.cluster import Cluster
from tests.service import Service, answered


@dataclass(frozen=True)
class Cost:
    """The cost of one submission."""

    tasks: int
    seconds: float  # from acceptance until the last task was done, by the service's clock
    counted: float  # seconds until a polling client sees it
    worker_cpu: float  # seconds, of all workers and their children
    broker_cpu: float  # seconds

    @property
    def rate(self) -> float:
        """Tasks per second."""
        return self.tasks / self.seconds

    @property
    def counted_rate(self) -> float:
        """Tasks per second as a client sees it."""
        return self.tasks / self.counted

    @property
    def worker_us(self) -> float:
        """Microseconds of the workers' CPU per task."""
        return self.worker_cpu / self.tasks * 1e6

    @property
    def broker_us(self) -> float:
        """Microseconds of the broker's CPU per task."""
        return self.broker_cpu / self.tasks * 1e6


class Workers:
    """Workers of one cluster with a common data directory; without a cluster, one worker on the embedded log."""

    def __init__(
        self, kafka: Cluster | None, folder: Path, number: int = 1, prefix: str = "bench-", **settings: object
    ) -> None:
        self.kafka = kafka
        self.prefix = prefix
        self.folder = folder
        self.data_dir = folder / "data"
        settings = {"partitions": load.PARTITIONS} | settings
        if kafka is not None:
            settings |= {"broker": f"kafka://{kafka.address()}", "kafka_prefix": prefix}
        self.all = [Service(self.data_dir, **settings) for _ in range(number)]
        for index, worker in enumerate(self.all):
            worker.log_path = folder / f"worker-{index}.log"

    @property
    def running(self) -> list[Service]:
        return [worker for worker in self.all if worker.runs]

    def start(self, number: int | None = None) -> None:
        """Start the first `number` workers, all by default, and wait until each owns its share of the partitions."""
        for worker in self.all[:number]:
            if not worker.runs:
                worker.spawn()
        for worker in self.running:
            worker.wait_ready(600)
        self.wait_whole(self.all[0])

    def stop(self) -> None:
        for worker in self.running:
            worker.stop()

    def kill(self) -> None:
        for worker in self.running:
            worker.kill()

    def wait_whole(self, worker: Service) -> None:
        """Wait until a worker gets answers from all partitions."""
        answered(lambda: worker.whole(f"/scores?project_id={load.PROJECT}&limit=1"), 600)

    def cpu(self) -> float:
        """CPU seconds that the running workers have used so far."""
        return sum(machine.cpu_seconds(worker.pid) for worker in self.running)

    def broker_cpu(self) -> float:
        """CPU seconds that the brokers have used so far."""
        brokers = [] if self.kafka is None else self.kafka.brokers.values()
        return sum(machine.cpu_seconds(broker.pid) for broker in brokers)

    def score(self, prefix: str, calls: int, refs: list[str], pause: float = 1.0) -> Cost:
        """Log new calls, then score each with each ref; the request is polled every `pause` seconds."""
        return asyncio.run(self._score(prefix, calls, refs, pause))

    async def _score(self, prefix: str, calls: int, refs: list[str], pause: float) -> Cost:
        client = self.running[0]
        call_ids = await load.log_calls(client, prefix, calls)
        workers, broker = self.cpu(), self.broker_cpu()
        counted, request = await load.score(client, call_ids, refs, pause)
        tasks = calls * len(refs)
        assert request["tasks"]["succeeded"] == tasks, request
        used, brokers = self.cpu() - workers, self.broker_cpu() - broker
        return Cost(tasks, load.seconds_of(request), counted, used, brokers)

    def publish(self, number: int, kind: load.OfKind = load.contains) -> list[str]:
        """Publish `number` scorers, by default ones that do next to nothing; returns their refs."""
        return asyncio.run(load.publish(self.running[0], number, kind))

    def log_bytes(self) -> dict[str, int]:
        """Bytes of one replica of each topic on disk; an embedded log must be stopped."""
        if self.kafka is None:
            return disk.topics(self.data_dir / "log")
        found: dict[str, int] = {}
        for folder in (self.kafka.folder / "broker-1" / "logs").glob(f"{self.prefix}*"):
            topic = folder.name.rsplit("-", 1)[0].removeprefix(self.prefix)
            found[topic] = found.get(topic, 0) + machine.disk_bytes(folder, "*.log")
        return dict(sorted(found.items()))

    def table_bytes(self) -> int:
        """Bytes of the tables of all workers on disk, without RocksDB's info logs, which grow all the time."""
        return sum(machine.disk_bytes(self.data_dir, kind) for kind in ("*.sst", "*.log"))


def rounded(**values: Any) -> dict[str, Any]:
    """A row of results."""
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in values.items()}
