"""Workers come and go, and so do brokers: every task ends exactly once all the same."""

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.command import verified
from tests.kafka import KafkaCluster
from tests.service import Service, attempts

PROJECT = "acme/workers"
SCORERS = ("not_empty", "valid_json", "patient", "flaky")
TASKS = int(os.environ.get("CALLSCORE_TEST_TASKS", "6000"))


class Workers:
    """Several workers of one cluster on one volume, each with an instance folder of its own."""

    def __init__(self, number: int, folder: Path, broker: str) -> None:
        self.all = [
            Service(
                folder / "data",
                broker=broker,
                kafka_prefix=f"{folder.name}-",
                scorers="tests.plugin_scorers",
                call_wait=300,
            )
            for _ in range(number)
        ]
        for index, worker in enumerate(self.all):
            worker.log_path = folder / f"worker-{index}.log"

    def start(self) -> None:
        for worker in self.all:
            worker.spawn()
        for worker in self.all:
            worker.wait_ready()

    def kill(self) -> None:
        for worker in self.all:
            worker.kill()

    def ask(self, question: Callable[[Service], Any], seconds: float = 300) -> Any:
        """What a worker that can answer says; workers are asked in turn."""
        last: Exception | None = None
        for number in attempts(seconds):
            try:
                return question(self.all[number % len(self.all)])
            except (OSError, AssertionError, KeyError) as error:
                last = error
        logs = "\n".join(f"--- {worker.log_path.name}\n{worker.log()}" for worker in self.all)
        raise AssertionError(f"no worker answered: {last!r}\n{logs}")


@pytest.fixture
def workers(tmp_path: Path, three_brokers: KafkaCluster) -> Iterator[Workers]:
    made = Workers(3, tmp_path, three_brokers.broker)
    made.start()
    yield made
    made.kill()


def log_all(workers: Workers, ids: list[str]) -> None:
    calls = [{"id": call_id, "output": f"output of {call_id}"} for call_id in ids]
    workers.ask(lambda worker: worker.log_calls(PROJECT, calls))


def check(workers: Workers, requests: list[str], ids: list[str]) -> int:
    """Every request is complete and its numbers agree with its tasks and the scores; returns the number of tasks."""
    total = 0
    for request_id in requests:

        def finished(worker: Service, request_id: str = request_id) -> Any:
            request = worker.whole(f"/score-requests/{request_id}")
            assert request["status"] == "completed", request["tasks"]
            return request

        counts = workers.ask(finished, 300)["tasks"]
        assert counts["succeeded"] + counts["failed"] == counts["total"]
        path = f"/score-requests/{request_id}/tasks?limit=1000"
        tasks = workers.ask(lambda worker: worker.items(path))  # noqa: B023  (asked now)
        assert len({(task["call_id"], task["scorer_ref"]) for task in tasks}) == counts["total"] == len(tasks)
        assert {task["status"] for task in tasks} <= {"succeeded", "failed"}
        assert sum(task["status"] == "failed" for task in tasks) == counts["failed"]
        total += counts["total"]
    scores = workers.ask(lambda worker: worker.items(f"/scores?project_id={PROJECT}&limit=1000"))
    keys = [(score["call_id"], score["scorer_ref"]) for score in scores]
    assert len(keys) == len(set(keys)) == len(ids) * len(SCORERS)
    return total


class Havoc:
    """Kills or stops a worker every few seconds, and restarts a broker once, until it is told to end.

    It is the workers' supervisor too: one that ended itself is started again.
    """

    def __init__(self, workers: Workers, brokers: KafkaCluster, clean: bool, seed: int) -> None:
        self._workers = workers
        self._brokers = brokers
        self._clean = clean
        self._chance = random.Random(seed)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.ended = 0  # workers killed or stopped

    def __enter__(self) -> "Havoc":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(self._chance.uniform(2, 5)):
            for worker in self._workers.all:
                if (code := worker.exit_code()) is not None:
                    print(f"{worker.log_path.name} ended itself with {code}")
                    worker.spawn()
            worker = self._chance.choice(self._workers.all)
            if self._clean:
                worker.stop()
            else:
                worker.kill()
            self.ended += 1
            if self.ended == 2 and self._brokers.own:
                self._brokers.kill(1)
                self._brokers.restart(1)
            self._end.wait(self._chance.uniform(0, 3))
            worker.spawn()


@pytest.mark.timeout(900 + TASKS // 10)
@pytest.mark.parametrize("clean", [False, True], ids=["killed", "leaving"])
def test_workers_that_come_and_go_lose_nothing_and_count_nothing_twice(
    workers: Workers, three_brokers: KafkaCluster, clean: bool
) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    rounds = TASKS // (500 * len(SCORERS))
    refs = workers.ask(lambda worker: worker.refs(*SCORERS))
    requests: list[str] = []
    ids: list[str] = []
    longest = 0.0
    with Havoc(workers, three_brokers, clean, seed) as havoc:
        for number in range(rounds):
            new = [f"call-{number}-{n}" for n in range(500)]
            started = time.monotonic()
            log_all(workers, new)
            requests.append(workers.ask(lambda worker: worker.submit(PROJECT, new, refs)))  # noqa: B023  (asked now)
            longest = max(longest, time.monotonic() - started)
            ids += new
        workers.ask(lambda worker: finished_all(worker, requests), 600)
    total = check(workers, requests, ids)
    verified(workers.all[0])
    print(
        f"workers {'stopped' if clean else 'killed'} {havoc.ended}, tasks {total}, lost 0, double 0, "
        f"longest pause of the client {longest:.1f} s"
    )
    assert havoc.ended > 0


def finished_all(worker: Service, requests: list[str]) -> None:
    for request_id in requests:
        request = worker.whole(f"/score-requests/{request_id}")
        assert request["status"] == "completed", request["tasks"]
