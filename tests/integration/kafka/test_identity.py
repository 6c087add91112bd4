"""Who a worker is to Kafka: the same one only if it comes back with its folder and at its address."""

import shutil
from collections.abc import Callable

from app.exits import EXIT_HOPELESS
from app.instance import DATA_DIR_ID
from kafka import ports
from tests.brokers import kafka_only
from tests.service import Service, until


@kafka_only
def test_a_worker_that_comes_back_at_another_address_gets_its_partitions(make_service: Callable[..., Service]) -> None:
    service = make_service().start()
    service.log_calls("acme/moved", ["call-1"])
    service.kill()
    (service.port,) = ports.free(1)
    service.url = f"http://127.0.0.1:{service.port}"
    service.start()
    request = service.wait_finished(service.submit("acme/moved", ["call-1"], service.refs("not_empty")))
    assert request["tasks"]["succeeded"] == 1


@kafka_only
def test_a_second_worker_with_the_same_url_or_a_copied_data_folder_ends_with_a_sentence(
    make_service: Callable[..., Service],
) -> None:
    first = make_service().start()
    namesake = first.another(advertised_url=first.url)
    namesake.data_dir = first.data_dir.with_name("namesake")
    namesake.spawn()
    assert namesake.wait_ended(60) == EXIT_HOPELESS
    assert f"has the same URL, {first.url}" in namesake.log()
    assert first.get("/readyz").status == 200
    shutil.rmtree(namesake.data_dir)
    namesake.data_dir.mkdir()
    shutil.copy(first.data_dir / DATA_DIR_ID, namesake.data_dir)  # as of a cloned machine
    namesake.spawn()
    until(lambda: not (first.runs and namesake.runs), seconds=120)
    ended = namesake if first.runs else first
    assert ended.wait_ended() == EXIT_HOPELESS
    assert "its data folder is a copy" in ended.log()
