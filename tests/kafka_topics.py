"""What tests ask of a Kafka and change in it: topics, their settings, offsets, and who may do what."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, for_code
from aiokafka.protocol.admin import CreateAclsRequest, DeleteAclsRequest
from aiokafka.protocol.group import LeaveGroupRequest

from tests.kafka_scram import AlterScram
from tests.service import attempts

SETTLE_SECONDS = 60.0
# Numbers of the ACL protocol.
OPERATIONS = {"read": 3, "write": 4, "create": 5, "describe": 8}
ANY_OPERATION, DENIED, ALLOWED, A_TOPIC, LITERALLY = 2, 2, 3, 2, 3
T = TypeVar("T")


class KafkaTopics(ABC):
    """The topics of the Kafka at `address`. Synchronous, and may be called inside an event loop, which it holds up."""

    @property
    @abstractmethod
    def address(self) -> str:
        """Where clients find it: `host:port,host:port`."""

    def create_topic(self, name: str, partitions: int = 1, copies: int | None = None, **configs: object) -> None:
        """Create a topic and wait until each partition has a leader; `configs` as min_insync_replicas=2."""

        async def create(admin: Any) -> None:
            replicas = copies or min(3, len((await admin.describe_cluster())["brokers"]))
            response = await admin.create_topics([NewTopic(name, partitions, replicas, topic_configs=_dotted(configs))])
            _raise_first(response.topic_errors)

        self._administer(create)
        self._wait(lambda: name in (found := self._led()) and found[name] == partitions, f"{name} has no leaders")

    def delete_topics(self, *names: str) -> None:
        """Delete topics, those that exist, and wait until they are gone."""
        there = self.topics() & set(names)

        async def delete(admin: Any) -> None:
            response = await admin.delete_topics(sorted(there))
            _raise_first(response.topic_error_codes)

        if there:
            self._administer(delete)
            self._wait(lambda: not self.topics() & there, f"{there} are still there")

    def topics(self) -> set[str]:
        """The names of all topics but Kafka's own."""
        return {topic["topic"] for topic in self._described() if not topic["is_internal"]}

    def configure(self, name: str, **configs: object) -> None:
        """Change settings of a topic, and keep its others: `configure("calls", min_insync_replicas=2)`."""

        async def alter(admin: Any) -> None:
            kept = await _own_configs(admin, name)
            changed = ConfigResource(ConfigResourceType.TOPIC, name, kept | _dotted(configs))
            for response in await admin.alter_configs([changed]):
                _raise_first([(resource[3], resource[0], resource[1]) for resource in response.resources])

        self._administer(alter)

    def configs(self, name: str) -> dict[str, str]:
        """The settings that were made for this topic."""
        return self._administer(lambda admin: _own_configs(admin, name))

    def leader(self, topic: str, partition: int = 0) -> int:
        """The number of the broker that leads the partition, -1 while none does."""
        found = self._administer(lambda admin: admin.describe_topics([topic]))
        return next(int(p["leader"]) for p in found[0]["partitions"] if p["partition"] == partition)

    def coordinator(self, group: str) -> int:
        """The number of the broker that coordinates a group."""
        found: list[int] = []

        def ask() -> bool:  # a new Kafka has none for a moment
            found.append(int(self._administer(lambda admin: admin.find_coordinator(group))))
            return True

        self._wait(ask, f"{group} has no coordinator")
        return found[-1]

    def wait_in_sync(self) -> None:
        """Wait until every replica of every partition has caught up with its leader."""

        def lagging() -> list[Any]:
            every = [p for topic in self._described() for p in topic["partitions"]]
            return [p for p in every if p["leader"] < 0 or len(p["isr"]) < len(p["replicas"])]

        self._wait(lambda: not lagging(), "replicas are not in sync")

    def ends(self, topic: str) -> dict[int, int]:
        """The end offset of each partition."""

        async def ask() -> dict[int, int]:
            consumer = AIOKafkaConsumer(bootstrap_servers=self.address)
            await consumer.start()
            try:
                numbers = [p["partition"] for t in await self._metadata(topic) for p in t["partitions"]]
                ends = await consumer.end_offsets([TopicPartition(topic, number) for number in numbers])
                return {tp.partition: int(end) for tp, end in ends.items()}
            finally:
                await consumer.stop()

        return in_a_loop(ask())

    def committed(self, group: str) -> dict[tuple[str, int], int]:
        """What a group has committed: topic and partition, offset."""

        found: dict[tuple[str, int], int] = {}

        def ask() -> bool:  # refused while the group's coordinator is still to be chosen
            offsets = self._administer(lambda admin: admin.list_consumer_group_offsets(group))
            found.update({(tp.topic, tp.partition): int(its.offset) for tp, its in offsets.items()})
            return True

        self._wait(ask, f"{group} has no coordinator")
        return found

    def disband(self, group: str) -> None:
        """Have all members leave a group that nobody works in: a static member stays until its session times out."""

        async def disband(admin: Any) -> None:
            (described,) = (await admin.describe_consumer_groups([group]))[0].groups
            coordinator = await admin.find_coordinator(group)
            for member_id, *_ in described[5]:
                response = await admin._send_request(LeaveGroupRequest(group, member_id), coordinator)
                _raise_first([(group, response.error_code)])

        self._administer(disband)

    def deny(self, user: str, operation: str, topic: str) -> None:
        """Forbid a user of the SASL listeners to `read`, `write`, `create` or `describe` a topic; only when secure."""
        self._access(CreateAclsRequest, topic, "User:*", ANY_OPERATION, ALLOWED)  # else nobody could use it now
        self._access(CreateAclsRequest, topic, f"User:{user}", OPERATIONS[operation], DENIED)

    def allow(self, user: str, operation: str, topic: str) -> None:
        """Take a `deny` back."""
        self._access(DeleteAclsRequest, topic, f"User:{user}", OPERATIONS[operation], DENIED)

    def set_password(self, user: str, mechanism: str, password: str) -> None:
        """Give a user of the SASL listeners another password for one SCRAM mechanism; only when secure."""

        async def alter(admin: Any) -> None:
            response = await admin._send_to_controller(AlterScram(user, mechanism, password))
            _raise_first([result[:3] for result in response.results])

        self._administer(alter)

    def _access(self, request: Any, topic: str, who: str, operation: int, permission: int) -> None:
        async def change(admin: Any) -> None:
            acl = request(A_TOPIC, topic, LITERALLY, who, "*", operation, permission)
            response = await admin._send_to_controller(acl)
            results = response.creation_responses if request is CreateAclsRequest else response.filter_responses
            _raise_first([(topic, *result[:2]) for result in results])

        self._administer(change)

    async def _metadata(self, topic: str) -> list[Any]:
        return await _with_admin(self.address, lambda admin: admin.describe_topics([topic]))

    def _described(self) -> list[Any]:
        return self._administer(lambda admin: admin.describe_topics())

    def _led(self) -> dict[str, int]:
        """How many partitions with a leader each topic has."""
        return {t["topic"]: sum(p["leader"] >= 0 for p in t["partitions"]) for t in self._described()}

    def _administer(self, use: Callable[[Any], Awaitable[T]]) -> T:
        return in_a_loop(_with_admin(self.address, use))

    def _wait(self, reached: Callable[[], bool], otherwise: str) -> None:
        for _ in attempts(SETTLE_SECONDS):
            try:
                if reached():
                    return
            except KafkaError:  # a broker that has just gone or come
                continue
        raise AssertionError(otherwise)


def in_a_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end in a loop of its own, also where one runs already."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


async def _with_admin(address: str, use: Callable[[Any], Awaitable[T]]) -> T:
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        return await use(admin)
    finally:
        await admin.close()


async def _own_configs(admin: Any, topic: str) -> dict[str, str]:
    made_for_it = 1
    (response,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    return {entry[0]: entry[1] for entry in response.resources[0][4] if entry[3] == made_for_it}


def _dotted(configs: Mapping[str, object]) -> dict[str, str]:
    return {name.replace("_", "."): str(value) for name, value in configs.items()}


def _raise_first(errors: list[tuple[Any, ...]]) -> None:
    for name, code, *message in errors:
        if code:
            raise for_code(code)(f"{name}: {message}")
