"""A log is moved from Kafka to the embedded log and back, and an unfinished import harms nobody."""

import gzip
from pathlib import Path

from tests.brokers import OnKafka, kafka_only
from tests.command import begin_import, done, log, refused
from tests.integration.test_moving import PARTITIONS, Moved, moved, target
from tests.service import until

__all__ = ["moved"]


@kafka_only
def test_a_log_moves_from_kafka_to_the_embedded_log_and_back(moved: Moved, broker: OnKafka, tmp_path: Path) -> None:
    service = target(tmp_path / "embedded", partitions=3)
    done(log(service, "import", str(moved.file)))
    done(log(service, "export", str(tmp_path / "embedded.jsonl")))
    moved.check(service)
    back = target(tmp_path / "kafka", partitions=5, **broker.settings())
    done(log(back, "import", str(tmp_path / "embedded.jsonl")))
    moved.check(back)


@kafka_only
def test_a_log_in_kafka_that_has_no_records_yet_is_exported(broker: OnKafka, tmp_path: Path) -> None:
    service = target(tmp_path, partitions=PARTITIONS, **broker.settings())
    broker.kafka.create_topic(f"{service.environment['CALLSCORE_KAFKA_PREFIX']}calls", PARTITIONS)
    done(log(service, "export", str(tmp_path / "empty.jsonl")))


@kafka_only
def test_while_a_worker_is_connected_kafka_is_neither_exported_nor_imported_into(
    moved: Moved, broker: OnKafka, tmp_path: Path
) -> None:
    busy = target(tmp_path, partitions=PARTITIONS, **broker.settings()).start()
    assert "are connected to Kafka: stop all of them" in refused(log(busy, "export", str(tmp_path / "busy.jsonl")))
    assert "tables of another log" in refused(log(busy, "import", str(moved.file)))
    settings = {name.removeprefix("CALLSCORE_").lower(): value for name, value in busy.environment.items()}
    on_it = {name: settings[name] for name in ("broker", "kafka_prefix")}
    without_tables = target(tmp_path / "elsewhere", partitions=PARTITIONS, **on_it)
    assert "are connected to Kafka: stop all of them" in refused(log(without_tables, "import", str(moved.file)))
    busy.log_calls("acme/busy", ["one"])
    busy.stop()
    assert "has records already" in refused(log(without_tables, "import", str(moved.file)))


@kafka_only
def test_topics_of_an_import_that_was_killed_are_taken_by_nobody(moved: Moved, broker: OnKafka, tmp_path: Path) -> None:
    service = target(tmp_path, partitions=3, **broker.settings())
    whole = gzip.decompress(moved.file.read_bytes())
    process = begin_import(service, whole[: len(whole) // 2])
    prefix = service.environment["CALLSCORE_KAFKA_PREFIX"]
    until(lambda: f"{prefix}calls" in broker.kafka.topics())
    process.kill()
    process.wait()
    for command in (("import", str(moved.file)), ("export", str(tmp_path / "half.jsonl"))):
        assert "broken off, so its topics are incomplete" in refused(log(service, *command))
    service.spawn()
    assert service.wait_ended() == 2
    assert "broken off, so its topics are incomplete" in service.log()
    broker.kafka.delete_topics(*[name for name in broker.kafka.topics() if name.startswith(prefix)])
    done(log(service, "import", str(moved.file)))
    moved.check(service)
