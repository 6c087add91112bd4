"""A Kafka that lets a worker read and not write, or not use its topics at all: sentences, 503, no restart needed."""

from collections.abc import Callable
from typing import Any

from kafka.cluster import USERS
from tests.kafka import KafkaCluster
from tests.service import Service, attempts

PROJECT = "acme/read-only"
IDS = [f"call-{n}" for n in range(20)]
TOPICS = ("calls", "scorers", "score-requests")
REFUSED_SECONDS = 60.0


def as_alice(secure: KafkaCluster) -> dict[str, Any]:
    """Settings of a service whose Kafka knows it by name."""
    return {
        "broker": f"kafka://{secure.secure_address('SASL')}",
        "kafka_security_protocol": "SASL_PLAINTEXT",
        "kafka_sasl_mechanism": "PLAIN",
        "kafka_sasl_username": "alice",
        "kafka_sasl_password": USERS["alice"],
    }


def topics(service: Service, *names: str) -> list[str]:
    """What Kafka calls them."""
    return [f"{service.environment['CALLSCORE_KAFKA_PREFIX']}{name}" for name in names]


def each(names: list[str], change: Callable[[str], None]) -> Callable[[], None]:
    """The same change of several topics."""

    def change_all() -> None:
        for name in names:
            change(name)

    return change_all


def refuses_and_recovers(service: Service, refuse: Callable[[], None], take: Callable[[], None], why: str) -> None:
    """What must hold of a service, started and idle, whose Kafka takes no records for a while."""
    service.log_calls(PROJECT, IDS)
    refs = service.refs("not_empty", "valid_json")
    accepted = [service.submit(PROJECT, IDS, refs[:1])]
    service.wait_finished(accepted[0])
    pid = service.pid
    refuse()
    body = {"project_id": PROJECT, "call_ids": IDS, "scorer_refs": refs}
    for _ in attempts(REFUSED_SECONDS):
        answer = service.post("/calls/score", body)
        if answer.status != 200:
            break
        accepted.append(answer.headers["Location"].rsplit("/", 1)[1])
    assert answer.status == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert why in service.log()
    assert len(service.items(f"/scores?project_id={PROJECT}")) >= len(IDS)  # reading goes on
    assert service.get("/healthz").status == 200
    take()
    for _ in attempts(REFUSED_SECONDS):
        answer = service.post("/calls/score", body)
        if answer.status == 200:
            break
    assert answer.status == 200, service.log()
    accepted.append(answer.headers["Location"].rsplit("/", 1)[1])
    for request in accepted:
        tasks = service.wait_finished(request)["tasks"]
        assert tasks["succeeded"] == tasks["total"]
    assert len(service.items(f"/scores?project_id={PROJECT}")) == len(IDS) * len(refs)
    assert service.pid == pid
    assert service.exit_code() is None
    assert "Traceback" not in service.log()


def test_a_service_that_may_no_longer_write_refuses_submissions_and_takes_them_again_without_a_restart(
    make_worker: Callable[..., Service], secure: KafkaCluster
) -> None:
    service = make_worker(**as_alice(secure)).start()
    names = topics(service, *TOPICS)
    refuses_and_recovers(
        service,
        each(names, lambda name: secure.deny("alice", "write", name)),
        each(names, lambda name: secure.allow("alice", "write", name)),
        "TopicAuthorizationFailedError",
    )


def test_a_service_whose_topics_miss_replicas_refuses_submissions_and_takes_them_again_without_a_restart(
    make_worker: Callable[..., Service], three_brokers: KafkaCluster
) -> None:
    service = make_worker(broker=three_brokers.broker).start()
    for name in topics(service, *TOPICS):
        three_brokers.configure(name, min_insync_replicas=3)
    refuses_and_recovers(
        service,
        lambda: three_brokers.shut_down(3),
        lambda: three_brokers.restart(3),
        "the log has not acknowledged",
    )


def test_a_service_that_may_not_use_its_topics_says_so_and_is_ready_once_it_may(
    make_worker: Callable[..., Service], secure: KafkaCluster
) -> None:
    service = make_worker(**as_alice(secure))
    (name,) = topics(service, "calls")
    secure.deny("alice", "describe", name)
    service.spawn()
    service.wait_unready(f"topic {name} may not be used")
    refused = service.post("/calls/score", {"project_id": PROJECT, "call_ids": [], "scorer_refs": []})
    assert refused.status == 503
    secure.allow("alice", "describe", name)
    service.wait_ready()
    service.log_calls(PROJECT, ["one"])
    assert service.wait_finished(service.submit(PROJECT, ["one"], service.refs("not_empty")))["status"] == "completed"
    assert service.log().count("trying again until it can") == 1
    assert "Traceback" not in service.log()
