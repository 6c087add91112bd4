"""A broker that refuses one topic: the worker stops without committing, and nothing is lost once it is back."""

import shutil
from collections.abc import Callable
from contextlib import suppress

import pytest

from tests.brokers import kafka_only
from tests.kafka import KafkaCluster
from tests.service import Service

PROJECT = "acme/refused"
IDS = [f"call-{n}" for n in range(60)]
TOPICS = ("callscore-scores-changelog", "score-events")
MESSAGE_BYTES = 2_162_688
EXIT_LOST_SEND = 70


def stops_and_loses_nothing(service: Service, refuse: Callable[[], None], take: Callable[[], None]) -> None:
    """What must hold of a service whose Kafka refuses some of its records for a while."""
    service.start()
    service.log_calls(PROJECT, IDS)
    refs = service.refs("not_empty", "valid_json")
    first, second = service.submit(PROJECT, IDS[:20], refs), None
    service.wait_finished(first)
    refuse()
    with suppress(OSError):  # the worker may end before it has answered
        second = service.submit(PROJECT, IDS, refs)
    assert service.wait_ended() == EXIT_LOST_SEND
    assert "stops without committing" in service.log()
    take()
    shutil.rmtree(service.data_dir)  # what the log has is all there is
    service.start()
    for request_id, ids in ((first, IDS[:20]), (second or service.submit(PROJECT, IDS, refs), IDS)):
        assert service.wait_finished(request_id)["tasks"]["succeeded"] == len(ids) * len(refs)
    assert len(score_keys(service)) == len(IDS) * len(refs)


def score_keys(service: Service) -> list[tuple[str, str]]:
    """The keys of all scores, each of which there is once."""
    keys = [(score["call_id"], score["scorer_ref"]) for score in service.items(f"/scores?project_id={PROJECT}")]
    assert len(keys) == len(set(keys))
    return keys


@kafka_only
@pytest.mark.parametrize("topic", TOPICS)
def test_a_worker_whose_records_are_refused_stops_without_committing_and_loses_nothing(
    make_service: Callable[..., Service], kafka: KafkaCluster, topic: str
) -> None:
    service = make_service()
    name = f"{service.environment['CALLSCORE_KAFKA_PREFIX']}{topic}"
    stops_and_loses_nothing(
        service,
        lambda: kafka.configure(name, max_message_bytes=1),
        lambda: kafka.configure(name, max_message_bytes=MESSAGE_BYTES),
    )


@pytest.mark.parametrize("topic", TOPICS)
def test_a_worker_whose_records_are_not_taken_within_the_delivery_timeout_stops_and_loses_nothing(
    three_brokers: KafkaCluster, make_worker: Callable[..., Service], topic: str
) -> None:
    service = make_worker(broker=three_brokers.broker, kafka_delivery_timeout=5)

    def refuse() -> None:
        three_brokers.configure(f"{service.environment['CALLSCORE_KAFKA_PREFIX']}{topic}", min_insync_replicas=3)
        three_brokers.shut_down(3)

    stops_and_loses_nothing(service, refuse, lambda: three_brokers.restart(3))
