"""A worker that Kafka did not hear from until others had its partitions writes nothing when it is back."""

import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.brokers import OnKafka, kafka_only
from tests.crash.test_workers import PROJECT, SCORERS, Workers, check, finished_all, log_all
from tests.proxy import Proxy
from tests.service import Service, attempts

EXIT_STUCK = 75


@kafka_only
@pytest.mark.timeout(600)
def test_workers_that_were_stopped_or_cut_off_until_their_partitions_had_moved_end_and_write_nothing(
    broker: OnKafka, tmp_path: Path
) -> None:
    workers = Workers(3, tmp_path, broker.kafka.broker)
    here, stopped, distant = everyone = workers.all
    network = Proxy(broker.kafka.address)
    distant.command = (sys.executable, "-m", "tests.distant_worker")
    distant.extra_environment = {"PROXY_PORT": str(network.port)}
    try:
        workers.start()
        ids = [f"call-{n}" for n in range(2000)]
        log_all(workers, ids)
        request = workers.ask(lambda worker: worker.submit(PROJECT, ids, worker.refs(*SCORERS)))
        assert any(begun(here, request) for _ in attempts(60, 0.02))
        os.kill(stopped.pid, signal.SIGSTOP)
        network.cut()
        workers.all = [here]
        workers.ask(lambda worker: finished_all(worker, [request]), 300)
        distant.wait_unready("Kafka does not confirm")
        assert distant.get(f"/scores?project_id={PROJECT}").status == 503  # what it has lacks what others have written
        before = scores(here)
        topics = [name for name in broker.kafka.topics() if name.startswith(f"{tmp_path.name}-")]
        ends = settled(broker, topics)
        os.kill(stopped.pid, signal.SIGCONT)
        network.heal()
        for worker in (stopped, distant):
            assert worker.wait_ended() == EXIT_STUCK
            assert "its partitions may have moved" in worker.log()
        assert ends_of(broker, topics) == ends
        here.kill()
        shutil.rmtree(here.data_dir)  # what the log has is all there is
        workers.start()
        assert check(workers, [request], ids) == len(ids) * len(SCORERS)
        assert scores(here) == before
    finally:
        for worker in everyone:
            worker.kill()
        network.close()


def ends_of(broker: OnKafka, topics: list[str]) -> dict[str, Any]:
    return {topic: broker.kafka.ends(topic) for topic in topics}


def settled(broker: OnKafka, topics: list[str]) -> dict[str, Any]:
    """The ends of topics once they stay the same: changelogs follow what views show."""
    seen = ends_of(broker, topics)
    for _ in attempts(60, 1):
        if (ends := ends_of(broker, topics)) == seen:
            return ends
        seen = ends
    raise AssertionError(f"topics grow and grow: {seen}")


def begun(worker: Service, request_id: str) -> bool:
    """Whether some tasks of a request have ended, and most have not."""
    tasks = worker.whole(f"/score-requests/{request_id}")["tasks"]
    return 0 < tasks["succeeded"] < tasks["total"] / 2


def scores(worker: Service) -> list[object]:
    return worker.items(f"/scores?project_id={PROJECT}&limit=1000")
