"""Nothing is sent to Kafka while it is unknown whether the group still counts this worker as a member."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import NodeNotReadyError
from aiokafka.protocol.group import SyncGroupRequest
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.produce import ProduceRequest
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from app.kafka import membership as module
from app.kafka import producer as sending
from app.kafka.consumer import ConsumerThread, _note_answers
from app.kafka.membership import Membership
from app.kafka.producer import Producer

LIMIT = 7.0
PRODUCE = ProduceRequest(None, -1, 1000, [])


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module, "now", made)
    monkeypatch.setattr("app.kafka.consumer.now", made)
    return made


class Group:
    """A member of a group, as aiokafka's coordinator: the group answers each request after `takes` seconds."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.known = True
        self.takes = 0.0
        self.lost: list[float] = []
        self.joins = 0
        self.heartbeats = False
        self.membership = Membership(LIMIT, self.lost.append)
        self._closing = asyncio.get_running_loop().create_future()
        _note_answers(self, self.membership)

    async def join(self) -> None:
        """The group assigns partitions to this member."""
        await self._send_req(SyncGroupRequest("group", 1, "member", "instance", []))
        thread: Any = object.__new__(ConsumerThread)
        thread.consumer = SimpleNamespace(membership=self.membership)
        thread._consumer = SimpleNamespace(_coordinator=self)
        await thread.on_partitions_assigned({TP("calls", 0)})

    def _start_heartbeat_task(self) -> None:
        self.heartbeats = True

    async def _send_req(self, _: object) -> None:
        self.clock.now += self.takes

    async def _do_heartbeat(self) -> bool:
        self.clock.now += self.takes
        if not self.known:
            self.reset_generation()
        return self.known

    def reset_generation(self) -> None:
        self.joins += 1

    async def close(self) -> None:
        self._closing.set_result(None)
        self.reset_generation()


@pytest.fixture
async def group(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Group:
    async def open_tables(*_: object) -> None:
        pass

    monkeypatch.setattr(driver.AIOKafkaConsumerThread, "on_partitions_assigned", open_tables)
    return Group(clock)


async def test_a_member_is_in_doubt_once_its_last_confirmed_heartbeat_was_sent_too_long_ago(
    group: Group, clock: Clock
) -> None:
    await group.join()
    group.takes = 2.0
    assert await group._do_heartbeat()
    clock.now += LIMIT - group.takes
    assert not group.membership.in_doubt
    clock.now += 0.1
    assert group.membership.in_doubt


async def test_a_member_that_the_group_still_knows_after_a_doubt_goes_on(group: Group, clock: Clock) -> None:
    await group.join()
    clock.now += 60
    assert group.membership.in_doubt
    assert await group._do_heartbeat()
    assert not group.membership.in_doubt
    assert not group.lost


async def test_a_member_that_the_group_does_not_know_after_a_doubt_is_lost(group: Group, clock: Clock) -> None:
    await group.join()
    clock.now += 60
    group.known = False
    await group._do_heartbeat()
    assert group.lost == [60.0]


async def test_a_member_sends_heartbeats_while_it_opens_the_tables_of_its_partitions(
    group: Group, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def open_tables(*_: object) -> None:
        for _round in range(10):
            clock.now += 3
            if group.heartbeats:
                assert await group._do_heartbeat()

    monkeypatch.setattr(driver.AIOKafkaConsumerThread, "on_partitions_assigned", open_tables)
    await group.join()
    assert not group.membership.in_doubt


async def test_a_member_that_was_suspended_while_it_was_assigned_partitions_is_in_doubt_until_the_group_knows_it(
    group: Group, clock: Clock
) -> None:
    group.takes = 60.0  # the answer is there in a moment, but read only now
    await group.join()
    assert group.membership.in_doubt
    group.takes = 0.0
    assert await group._do_heartbeat()
    assert not group.membership.in_doubt


async def test_a_member_that_was_suspended_while_it_was_assigned_partitions_and_lost_them_is_lost(
    group: Group, clock: Clock
) -> None:
    group.takes = 60.0
    await group.join()
    clock.now += 3
    group.takes = 0.0
    group.known = False
    await group._do_heartbeat()
    assert group.lost == [63.0]


async def test_a_member_that_was_replaced_just_joins_again(group: Group, clock: Clock) -> None:
    await group.join()
    clock.now += 1
    group.known = False
    await group._do_heartbeat()
    clock.now += 60  # no heartbeat comes before it has joined, and before that it sends what it owes
    assert not group.membership.in_doubt
    assert (group.lost, group.joins) == ([], 1)


async def test_a_worker_without_partitions_has_none_to_lose(group: Group, clock: Clock) -> None:
    clock.now += 60
    assert not group.membership.in_doubt
    await group.join()
    group.membership.end()
    assert await group._do_heartbeat()  # sent before the end, answered after it
    clock.now += 60  # it waits until all others join
    assert not group.membership.in_doubt


async def test_a_worker_that_stops_while_it_cannot_reach_kafka_is_not_lost(group: Group, clock: Clock) -> None:
    await group.join()
    clock.now += 60
    await group.close()
    assert (group.lost, group.joins) == ([], 1)


class Client:
    """A client of aiokafka."""

    def __init__(self, group: Group) -> None:
        self.membership = group.membership
        self.reachable = True
        self.connecting: list[asyncio.Future[None]] = []
        self.sent: list[Any] = []
        self.in_doubt_when_sent = False

    async def ready(self, _: int) -> bool:
        while self.connecting:
            await self.connecting.pop()
        return self.reachable

    async def send(self, _: int, request: Any) -> None:
        self.sent.append(request)
        self.in_doubt_when_sent |= self.membership.in_doubt


@pytest.fixture
async def client(group: Group, monkeypatch: pytest.MonkeyPatch) -> Client:
    """The client of a producer that has started."""

    async def start(_: object) -> None:
        pass

    made = Client(group)
    monkeypatch.setattr(driver.Producer, "on_start", start)
    monkeypatch.setattr(sending, "_DOUBT_PAUSE", 0)
    producer: Any = object.__new__(Producer)
    producer.app = SimpleNamespace(consumer=SimpleNamespace(membership=group.membership))
    producer._producer = SimpleNamespace(client=made)
    producer._ensure_producer = lambda: producer._producer
    await producer.on_start()
    return made


async def test_records_wait_while_the_membership_is_in_doubt(client: Client, group: Group, clock: Clock) -> None:
    await group.join()
    clock.now += 60
    sending_ = asyncio.create_task(client.send(1, PRODUCE))
    await client.send(1, MetadataRequest())
    for _ in range(10):
        await asyncio.sleep(0)
    assert PRODUCE not in client.sent
    await group._do_heartbeat()
    await sending_
    assert PRODUCE in client.sent


async def test_records_wait_if_the_doubt_begins_while_a_connection_is_made(
    client: Client, group: Group, clock: Clock
) -> None:
    await group.join()
    connected = asyncio.get_running_loop().create_future()
    client.connecting.append(connected)
    sending_ = asyncio.create_task(client.send(1, PRODUCE))
    await asyncio.sleep(0)
    clock.now += 60
    connected.set_result(None)
    for _ in range(10):
        await asyncio.sleep(0)
    assert not client.sent
    await group._do_heartbeat()
    await sending_
    assert client.sent == [PRODUCE]


async def test_records_are_tried_again_later_without_a_connection(client: Client) -> None:
    client.reachable = False
    with pytest.raises(NodeNotReadyError):
        await client.send(1, PRODUCE)
