"""Who a worker is to Kafka: the same one only if it comes back with its folder and at its address."""

from collections.abc import Callable
from pathlib import Path

from app.instance import claim_instance
from kafka import ports
from tests.brokers import kafka_only
from tests.service import Service

HERE, THERE = "http://127.0.0.1:1", "http://127.0.0.1:2"


@kafka_only
def test_a_worker_that_comes_back_at_another_address_gets_its_partitions(make_service: Callable[..., Service]) -> None:
    service = make_service().start()
    service.log_calls("acme/moved", [{"id": "call-1", "output": "x"}])
    service.kill()
    (service.port,) = ports.free(1)
    service.url = f"http://127.0.0.1:{service.port}"
    service.start()
    request = service.wait_finished(service.submit("acme/moved", ["call-1"], service.refs("not_empty")))
    assert request["tasks"]["succeeded"] == 1


def test_a_worker_takes_the_folder_that_it_had_last(tmp_path: Path) -> None:
    (first, first_lock), (second, second_lock) = claim_instance(tmp_path, HERE), claim_instance(tmp_path, THERE)
    assert (first.name, second.name) == ("instance-0", "instance-1")
    first_lock.close()
    second_lock.close()
    folder, lock = claim_instance(tmp_path, THERE)
    assert folder == second
    other, other_lock = claim_instance(tmp_path, THERE)  # held: the next free one
    assert other == first
    lock.close()
    other_lock.close()
