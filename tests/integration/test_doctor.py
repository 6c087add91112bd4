"""`callscore doctor` beside a real service, on both logs."""

from collections.abc import Callable
from pathlib import Path

from app.exits import EXIT_HOPELESS
from tests.brokers import kafka_only, on_both_logs
from tests.command import run
from tests.kafka import KafkaCluster
from tests.service import Service, free_port

pytestmark = on_both_logs


def lines(service: Service, level: str) -> list[str]:
    """What is found with the settings of a service, of one level."""
    ended = run(service, "doctor")
    found = ended.stdout.decode().splitlines()
    assert ended.returncode == any(line.startswith("wrong") for line in found), ended.stderr
    # How slow the disk of this machine is now is no matter here.
    return [line for line in found if line.startswith(level) and "A sync of" not in line]


def test_beside_a_service_that_runs_all_is_ok_and_who_has_the_data_folder_is_said(service: Service) -> None:
    assert lines(service, "wrong") + lines(service, "warning") == []
    found = lines(service, "ok")
    assert f"ok       data folder: instance-0 is used by the worker at {service.url}." in found
    assert f"ok       service: Running at {service.url}, and ready." in found
    assert "ok       service: Its version is 0.1.0, as that of this command." in found
    service.stop()
    found = lines(service, "ok")
    assert not any("used by" in line for line in found)
    assert any("Not running at" in line for line in found)


def test_another_number_of_partitions_than_the_logs_is_wrong(make_service: Callable[..., Service]) -> None:
    service = make_service().start()
    service.stop()
    other = service.another(partitions=6)
    [line] = lines(other, "wrong")
    assert "callscore log export" in line


@kafka_only
def test_topics_that_are_missing_unsafe_or_not_as_the_settings_say_are_told_and_none_is_made(
    make_service: Callable[..., Service], kafka: KafkaCluster
) -> None:
    service = make_service()
    before = kafka.topics()
    assert any("the next start creates" in line for line in lines(service, "ok"))
    [line] = lines(service.another(kafka_replication=3), "wrong")
    assert "Topics with 3 replicas cannot be created on 1 broker" in line
    assert kafka.topics() == before
    service.start().stop()
    [line] = lines(service.another(kafka_replication=3, kafka_min_insync=1), "warning")
    assert "has 1 replica, not 3" in line
    [line] = lines(service.another(kafka_min_insync=2), "wrong")
    assert "Lower CALLSCORE_KAFKA_MIN_INSYNC" in line

    few = service.another(kafka_replication=3, kafka_min_insync=1).start()
    few.stop()
    assert "these topics have fewer replicas than 3" in few.log()
    calls = f"{service.environment['CALLSCORE_KAFKA_PREFIX']}calls"
    kafka.configure(calls, max_message_bytes=4_000_000, min_insync_replicas=2)
    [line] = lines(service, "wrong")
    assert f"{calls} has too few replicas in sync to be written" in line
    kafka.configure(calls, min_insync_replicas=1)
    assert not lines(service, "wrong")
    kafka.configure(
        calls, retention_ms=7 * 86_400_000, message_timestamp_type="LogAppendTime", max_message_bytes=1_048_588
    )
    [line] = lines(service, "wrong")
    wanted = "retention.ms=-1,message.timestamp.type=CreateTime,max.message.bytes=2162688"
    assert f"--entity-name {calls} --add-config {wanted}" in line
    service.spawn()
    assert service.wait_ended() == EXIT_HOPELESS
    assert f"With the settings of the topic {calls}, Kafka does not keep all that callscore needs" in service.log()


@kafka_only
def test_a_kafka_that_does_not_answer_is_wrong(make_service: Callable[..., Service], tmp_path: Path) -> None:
    [line] = lines(make_service().another(broker=f"kafka://127.0.0.1:{free_port()}"), "wrong")
    assert line.startswith("wrong    Kafka: Kafka ")
