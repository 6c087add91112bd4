"""A Kafka that is not there, goes away, comes back or is another than it was: sentences, no loss, no crash loop."""

import time
from collections.abc import Callable, Iterator

import pytest

from app.kafka.logs import EVERY
from tests.kafka import KafkaCluster
from tests.service import PARTITIONS, Service, complete_call, until

PROJECT = "acme/moods"
IDS = [f"call-{n}" for n in range(50)]
TAKEN_AGAIN_SECONDS = 60.0


@pytest.fixture(scope="module")
def _moody() -> Iterator[KafkaCluster]:
    cluster = KafkaCluster()
    try:
        yield cluster.start()
    finally:
        cluster.stop()


@pytest.fixture
def moody(_moody: KafkaCluster) -> KafkaCluster:
    """A broker of our own that may be stopped; it runs when a test gets it."""
    _moody.heal()
    return _moody


@pytest.fixture
def service(moody: KafkaCluster, make_worker: Callable[..., Service]) -> Service:
    """A service on that broker that has not been started."""
    return make_worker(broker=moody.broker, scorers="tests.plugin_scorers")


def refused(service: Service) -> bool:
    body = {"project_id": PROJECT, "call_ids": IDS, "scorer_refs": ["callscore:///scorer/not_empty:latest"]}
    answer = service.post("/calls/score", body)
    return answer.status == 503 and "Retry-After" in answer.headers


def test_a_worker_waits_for_a_kafka_that_is_down_and_is_ready_when_it_comes(
    service: Service, moody: KafkaCluster
) -> None:
    moody.kill()
    service.spawn()
    service.wait_unready(f"Kafka at {moody.address} cannot be used: ")
    assert refused(service)
    assert service.stop() == 0
    service.spawn()
    service.wait_unready(f"Kafka at {moody.address} cannot be used: ")
    moody.restart()
    service.wait_ready()
    service.log_calls(PROJECT, IDS)
    assert service.wait_finished(service.submit(PROJECT, IDS, service.refs("not_empty")))["status"] == "completed"
    assert "Traceback" not in service.log()


def test_what_was_accepted_is_completed_when_a_kafka_that_went_away_is_back(
    service: Service, moody: KafkaCluster
) -> None:
    service.start()
    service.log_calls(PROJECT, IDS)
    refs = service.refs("not_empty", "patient", "in_process")
    accepted = service.submit(PROJECT, IDS, refs)
    pid = service.pid
    killed_at = time.monotonic()
    moody.kill()
    assert refused(service)
    assert 1 <= service.log().count("Unable connect to node") <= 1 + (time.monotonic() - killed_at) / EVERY
    since = service.log().count("the log has not acknowledged")
    assert refused(service)  # at once: what takes nothing is not tried again
    assert service.log().count("the log has not acknowledged") == since
    assert service.get("/healthz").status == 200
    moody.restart()
    service.wait_ready()
    assert service.wait_finished(accepted)["tasks"]["succeeded"] == len(IDS) * len(refs)
    until(lambda: not refused(service), seconds=TAKEN_AGAIN_SECONDS)
    again = service.wait_finished(service.submit(PROJECT, IDS, refs))
    assert again["tasks"]["succeeded"] == again["tasks"]["reused"] == len(IDS) * len(refs)
    assert len(service.items(f"/scores?project_id={PROJECT}&limit=1000")) == len(IDS) * len(refs)
    assert service.pid == pid


@pytest.mark.parametrize("owes", [False, True], ids=["owes nothing", "has a record on its way"])
def test_a_worker_that_is_told_to_stop_while_kafka_is_away_ends_in_time(
    service: Service, moody: KafkaCluster, owes: bool
) -> None:
    service.start()
    moody.kill()
    if owes:
        batch = [complete_call(PROJECT, {"id": "call-1", "output": "x"})]
        with pytest.raises(TimeoutError):
            service.request("POST", f"/v2/{PROJECT}/calls/complete", {"batch": batch}, timeout=1)
    since = time.monotonic()
    assert service.stop() == (75 if owes else 0)
    assert time.monotonic() - since < 15
    assert service.log().count("could not stop within 10 s") == owes
    assert "Traceback" not in service.log()


def test_a_worker_does_not_start_on_topics_with_another_partition_count(service: Service, moody: KafkaCluster) -> None:
    name = f"{service.environment['CALLSCORE_KAFKA_PREFIX']}calls"
    moody.create_topic(name, 5)
    service.spawn()
    assert service.wait_ended() == 2
    assert f"Kafka's topic {name} has 5 partitions and CALLSCORE_PARTITIONS is {PARTITIONS}" in service.log()
    assert "Traceback" not in service.log()
