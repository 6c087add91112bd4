"""The service on a secured Kafka: it shows who it is, and says so when it is not let in."""

from collections.abc import Callable
from typing import Any

import pytest

from kafka.cluster import USERS
from kafka.properties import MECHANISMS
from tests.kafka import KafkaCluster
from tests.service import Service

PROJECT = "acme/secured"
# protocol, mechanism
WAYS = [*[("SASL_PLAINTEXT", mechanism) for mechanism in MECHANISMS], ("SSL", ""), ("SASL_SSL", "SCRAM-SHA-512")]
LISTENERS = {"SASL_PLAINTEXT": "SASL", "SSL": "TLS", "SASL_SSL": "SASL_TLS"}


def settings(secure: KafkaCluster, protocol: str, mechanism: str, password: str = "") -> dict[str, Any]:
    """How alice comes in."""
    address = secure.secure_address(LISTENERS[protocol])
    given: dict[str, Any] = {"broker": f"kafka://{address}", "kafka_security_protocol": protocol}
    if mechanism:
        given |= {"kafka_sasl_mechanism": mechanism, "kafka_sasl_username": "alice"}
        given["kafka_sasl_password"] = password or USERS["alice"]
    if protocol.endswith("SSL"):
        given["kafka_ssl_cafile"] = secure.trusted
    return given


@pytest.mark.parametrize(("protocol", "mechanism"), WAYS)
def test_a_service_scores_on_a_secured_kafka(
    make_worker: Callable[..., Service], secure: KafkaCluster, protocol: str, mechanism: str
) -> None:
    service = make_worker(partitions=2, **settings(secure, protocol, mechanism)).start()
    service.log_calls(PROJECT, ["one"])
    request = service.wait_finished(service.submit(PROJECT, ["one"], service.refs("not_empty")))
    assert request["tasks"]["succeeded"] == 1


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_service_with_a_wrong_password_stays_up_and_says_why_it_is_not_ready(
    make_worker: Callable[..., Service], secure: KafkaCluster, mechanism: str
) -> None:
    given = settings(secure, "SASL_PLAINTEXT", mechanism, password="not-hers")
    service = make_worker(**given)
    service.spawn()
    service.wait_unready("uthentication")
    refused = service.post("/calls/score", {"project_id": PROJECT, "call_ids": [], "scorer_refs": []})
    assert refused.status == 503
    assert service.log().count("trying again until it can") == 1
    assert "Traceback" not in service.log()
    assert "not-hers" not in service.log()


@pytest.mark.parametrize("mechanism", MECHANISMS[1:])  # passwords of PLAIN are in the broker's own settings
def test_a_service_whose_password_is_made_right_at_kafka_is_ready_without_a_restart(
    make_worker: Callable[..., Service], secure: KafkaCluster, mechanism: str
) -> None:
    given = settings(secure, "SASL_PLAINTEXT", mechanism, password=f"new-{mechanism}")
    service = make_worker(partitions=2, **given)
    service.spawn()
    service.wait_unready("uthentication")
    pid = service.pid
    secure.set_password("alice", mechanism, f"new-{mechanism}")
    try:
        service.wait_ready()
        service.log_calls(PROJECT, ["one"])
        request = service.wait_finished(service.submit(PROJECT, ["one"], service.refs("not_empty")))
        assert request["tasks"]["succeeded"] == 1
        assert service.pid == pid
        assert "Traceback" not in service.log()
    finally:
        secure.set_password("alice", mechanism, USERS["alice"])


def test_a_service_that_does_not_trust_the_certificate_says_so(
    make_worker: Callable[..., Service], secure: KafkaCluster
) -> None:
    given = settings(secure, "SSL", "")
    del given["kafka_ssl_cafile"]
    service = make_worker(**given)
    service.spawn()
    service.wait_unready("certificate")
    assert "Traceback" not in service.log()
