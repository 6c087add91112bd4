"""A worker that was stopped until others had its partitions writes nothing when it goes on."""

import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.brokers import OnKafka, kafka_only
from tests.crash.test_workers import PROJECT, SCORERS, Workers, check, finished_all, log_all, whole
from tests.service import Service, attempts

EXIT_STUCK = 75


@kafka_only
@pytest.mark.timeout(600)
def test_a_worker_that_slept_until_its_partitions_had_moved_ends_and_overwrites_nothing(
    broker: OnKafka, tmp_path: Path
) -> None:
    workers = Workers(2, tmp_path, broker.kafka.broker)
    try:
        workers.start()
        ids = [f"call-{n}" for n in range(2000)]
        log_all(workers, ids)
        awake, sleeper = workers.all
        request = workers.ask(lambda worker: worker.submit(PROJECT, ids, worker.refs(*SCORERS)))
        assert any(begun(awake, request) for _ in attempts(60))
        os.kill(sleeper.pid, signal.SIGSTOP)
        workers.all = [awake]
        workers.ask(lambda worker: finished_all(worker, [request]), 300)
        before = scores(awake)
        os.kill(sleeper.pid, signal.SIGCONT)
        assert sleeper.wait_ended() == EXIT_STUCK
        assert "its partitions may have moved" in sleeper.log()
        awake.kill()
        shutil.rmtree(awake.data_dir)  # what the log has is all there is
        workers.start()
        assert check(workers, [request], ids) == len(ids) * len(SCORERS)
        assert scores(awake) == before
    finally:
        for worker in (awake, sleeper):
            worker.kill()


def begun(worker: Service, request_id: str) -> bool:
    """Whether some tasks of a request have ended, and most have not."""
    tasks = whole(worker, f"/score-requests/{request_id}")["tasks"]
    return 0 < tasks["succeeded"] < tasks["total"] / 2


def scores(worker: Service) -> list[object]:
    return worker.items(f"/scores?project_id={PROJECT}&limit=1000")
