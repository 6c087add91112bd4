"""What callscore relies on a Kafka for, with the client that it has."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import NotEnoughReplicasError, TopicAlreadyExistsError

from tests.command import verified
from tests.kafka import KafkaCluster
from tests.service import Service

PARTITIONS = 4
NOTICED_SECONDS = 30.0


@asynccontextmanager
async def producing(kafka: KafkaCluster, **settings: Any) -> AsyncIterator[Any]:
    settings = {"acks": "all", "enable_idempotence": True} | settings
    producer = AIOKafkaProducer(bootstrap_servers=kafka.address, **settings)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


@asynccontextmanager
async def consuming(kafka: KafkaCluster, *topics: str, **settings: Any) -> AsyncIterator[Any]:
    consumer = AIOKafkaConsumer(
        *topics, bootstrap_servers=kafka.address, auto_offset_reset="earliest", enable_auto_commit=False, **settings
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def take(consumer: Any, count: int) -> list[Any]:
    """The next `count` records."""
    async with asyncio.timeout(NOTICED_SECONDS):
        return [await consumer.getone() for _ in range(count)]


@pytest.fixture
def topic(kafka: KafkaCluster) -> str:
    """A fresh topic."""
    name = f"topic-{uuid4().hex}"
    kafka.create_topic(name, PARTITIONS)
    return name


async def test_each_partition_gives_its_records_back_in_the_order_of_their_acknowledgement(
    kafka: KafkaCluster, topic: str
) -> None:
    async with producing(kafka) as producer, consuming(kafka, topic) as consumer:
        for number in range(40):
            await producer.send_and_wait(topic, b"%d" % number, partition=number % PARTITIONS)
        found: dict[int, list[int]] = {}
        for record in await take(consumer, 40):
            found.setdefault(record.partition, []).append(int(record.value))
    assert found == {partition: list(range(partition, 40, PARTITIONS)) for partition in range(PARTITIONS)}
    assert kafka.ends(topic) == dict.fromkeys(range(PARTITIONS), 10)


async def test_a_group_goes_on_where_it_committed(kafka: KafkaCluster, topic: str) -> None:
    group = f"group-{uuid4().hex}"
    async with producing(kafka) as producer:
        for number in range(10):
            await producer.send_and_wait(topic, b"%d" % number, partition=0)
    async with consuming(kafka, topic, group_id=group) as consumer:
        await take(consumer, 4)
        await consumer.commit({TopicPartition(topic, 0): 4})
    assert kafka.committed(group) == {(topic, 0): 4}
    async with consuming(kafka, topic, group_id=group) as consumer:
        assert [int(record.value) for record in await take(consumer, 6)] == [4, 5, 6, 7, 8, 9]


def test_a_topic_is_made_once_and_keeps_the_settings_it_was_not_told_to_change(kafka: KafkaCluster, topic: str) -> None:
    kafka.configure(topic, retention_ms=-1)
    kafka.configure(topic, max_message_bytes=2_097_152)
    assert kafka.configs(topic) == {"retention.ms": "-1", "max.message.bytes": "2097152"}
    with pytest.raises(TopicAlreadyExistsError):
        kafka.create_topic(topic, PARTITIONS)
    kafka.delete_topics(topic)
    assert topic not in kafka.topics()


async def test_nothing_acknowledged_is_lost_or_doubled_when_a_broker_is_killed_and_comes_back(
    three_brokers: KafkaCluster,
) -> None:
    topic = f"topic-{uuid4().hex}"
    three_brokers.create_topic(topic, PARTITIONS, min_insync_replicas=2)
    killed = three_brokers.leader(topic, 0)
    async with producing(three_brokers) as producer, consuming(three_brokers, topic) as consumer:

        async def send(numbers: range) -> None:
            for number in numbers:
                await producer.send_and_wait(topic, b"%d" % number, partition=number % PARTITIONS)

        await send(range(100))
        three_brokers.kill(killed)
        await asyncio.wait_for(send(range(100, 200)), NOTICED_SECONDS)
        assert three_brokers.leader(topic, 0) != killed
        await asyncio.to_thread(three_brokers.restart, killed)
        await asyncio.wait_for(send(range(200, 300)), NOTICED_SECONDS)
        assert sorted(int(record.value) for record in await take(consumer, 300)) == list(range(300))
        assert sum(three_brokers.ends(topic).values()) == 300


def test_scoring_goes_on_while_a_broker_hangs_and_every_task_ends_once(
    three_brokers: KafkaCluster, make_worker: Callable[..., Service], tmp_path: Path
) -> None:
    prefix, project, ids = f"{tmp_path.name}-", "acme/hanging", [f"call-{n}" for n in range(200)]
    hanging = three_brokers.coordinator(f"{prefix}callscore")
    servers = three_brokers.address.split(",")
    servers.insert(0, servers.pop(hanging - 1))  # the first that a client asks
    service = make_worker(broker=f"kafka://{';'.join(servers)}").start()
    assert hanging in {three_brokers.leader(f"{prefix}score-events", number) for number in range(PARTITIONS)}
    service.log_calls(project, ids)
    refs = service.refs("not_empty", "valid_json")
    requests = [service.submit(project, ids, refs)]
    three_brokers.pause(hanging)
    requests.append(service.submit(project, ids, refs, **{"Callscore-Rescore": "while it hangs"}))
    for request in requests:
        service.wait_finished(request, NOTICED_SECONDS)
    three_brokers.resume(hanging)
    three_brokers.wait_in_sync()
    requests.append(service.submit(project, ids, refs, **{"Callscore-Rescore": "when it is back"}))
    for request in requests:
        tasks = service.wait_finished(request)["tasks"]
        assert tasks["succeeded"] == tasks["total"] == len(ids) * len(refs)
    assert service.exit_code() is None
    verified(service)


async def test_a_broker_that_is_restarted_keeps_its_records(make_kafka: Callable[..., KafkaCluster]) -> None:
    kafka = make_kafka()
    kafka.create_topic("kept")
    async with producing(kafka) as producer:
        await producer.send_and_wait("kept", b"record")
    kafka.kill()
    kafka.restart()
    assert kafka.ends("kept") == {0: 1}


async def test_a_topic_that_misses_replicas_takes_nothing_until_it_has_them(three_brokers: KafkaCluster) -> None:
    strict, lenient = f"strict-{uuid4().hex}", f"lenient-{uuid4().hex}"
    three_brokers.create_topic(strict, min_insync_replicas=3)
    three_brokers.create_topic(lenient, min_insync_replicas=2)
    down = three_brokers.leader(strict) % 3 + 1
    await asyncio.to_thread(three_brokers.shut_down, down)
    async with producing(three_brokers) as producer:
        waiting = asyncio.ensure_future(producer.send_and_wait(strict, b"record"))
        async with producing(three_brokers, enable_idempotence=False, request_timeout_ms=1000) as impatient:
            with pytest.raises(NotEnoughReplicasError):
                await impatient.send_and_wait(strict, b"given up")
        await producer.send_and_wait(lenient, b"record")
        assert not waiting.done()
        assert three_brokers.ends(strict) == {0: 0}
        await asyncio.to_thread(three_brokers.restart, down)
        await asyncio.wait_for(waiting, NOTICED_SECONDS)
    assert three_brokers.ends(strict) == {0: 1}
