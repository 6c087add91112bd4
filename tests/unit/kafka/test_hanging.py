"""A Kafka broker that does not answer holds up only what it alone can answer, and not for long."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.conn import CloseReason
from aiokafka.errors import KafkaConnectionError, KafkaError, RequestTimedOutError
from aiokafka.protocol.group import HeartbeatRequest, JoinGroupRequest
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.structs import BrokerMetadata
from aiokafka.util import wait_for

from app.kafka import hanging
from app.kafka.hanging import limit

JOIN = JoinGroupRequest("group", 10_000, 60_000, "", None, "consumer", [])
HEARTBEAT = HeartbeatRequest("group", 1, "member")
BROKERS = {number: BrokerMetadata(number, "broker", number, None) for number in (1, 2)}


class Connection:
    """A connection of aiokafka to a broker that answers a request when `answers` says so, else never."""

    def __init__(self, port: int, on_close: Callable[..., None], answers: Callable[[Any], bool]) -> None:
        self.host, self.port = "broker", port
        self._request_timeout = hanging.ANSWER_SECONDS
        self._on_close = on_close
        self._answers = answers
        self._waiting: list[asyncio.Future[str]] = []
        self._open = True
        self.socket = socket.socket()
        self.aborted = False
        self._protocol = SimpleNamespace(
            _transport=SimpleNamespace(get_extra_info=lambda _: self.socket, abort=self._abort)
        )

    def _abort(self) -> None:
        self.aborted = True

    def connected(self) -> bool:
        return self._open

    def send(self, request: Any, expect_response: bool = True) -> Any:
        answer = asyncio.get_running_loop().create_future()
        if self._answers(request):
            answer.set_result("answer")
        self._waiting.append(answer)
        return wait_for(answer, self._request_timeout)

    def close(self, reason: CloseReason | None = None, exc: object = None) -> None:
        if self._open:
            self._open = False
            for answer in self._waiting:
                if not answer.done():
                    answer.set_exception(KafkaConnectionError("closed"))
            self._on_close(self, reason)


class Network:
    """Connects a client; brokers in `unreachable` take no connection, and those in `hanging` answer nothing."""

    def __init__(self) -> None:
        self.hanging: set[int] = set()
        self.unreachable: set[int] = set()
        self.slow: type = JoinGroupRequest  # these requests are never answered

    async def connect(self, _: str, port: int, *, on_close: Callable[..., None], **__: object) -> Connection:
        if port in self.unreachable:
            await asyncio.sleep(hanging.ANSWER_SECONDS)
            raise TimeoutError
        return Connection(
            port, on_close, lambda request: port not in self.hanging and not isinstance(request, self.slow)
        )


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    made = Network()
    monkeypatch.setattr(hanging, "ANSWER_SECONDS", 0.02)
    monkeypatch.setattr("aiokafka.client.create_conn", made.connect)
    return made


@pytest.fixture
async def client(network: Network) -> AIOKafkaClient:
    """The client of a worker, which knows both brokers."""
    made = AIOKafkaClient(bootstrap_servers="first:1")
    made.cluster._brokers = dict(BROKERS)
    limit(made)
    return made


def known(client: AIOKafkaClient) -> set[Any]:
    """The brokers that may be asked who leads what."""
    return {broker.nodeId for broker in client.cluster.brokers()}


async def test_a_broker_that_does_not_answer_is_not_asked_any_more(client: AIOKafkaClient, network: Network) -> None:
    network.hanging.add(1)
    with pytest.raises(RequestTimedOutError):
        await client.send(1, HEARTBEAT)
    assert known(client) == {2}


async def test_a_broker_that_takes_no_connection_is_not_asked_any_more(
    client: AIOKafkaClient, network: Network
) -> None:
    network.unreachable.add(1)
    assert not await client.ready(1)
    assert known(client) == {2}


async def test_with_all_brokers_gone_all_of_them_are_asked_again(client: AIOKafkaClient, network: Network) -> None:
    network.unreachable.update(BROKERS)
    for number in BROKERS:
        await client.ready(number)
    assert known(client) == {1, 2}


async def test_a_connection_that_its_broker_has_closed_says_nothing_about_the_broker(client: AIOKafkaClient) -> None:
    await client.ready(1)
    client._conns[1, ConnectionGroup.DEFAULT].close(reason=CloseReason.CONNECTION_BROKEN)
    assert known(client) == {1, 2}


async def test_a_broker_that_takes_no_connection_does_not_hold_up_connecting_to_others(
    client: AIOKafkaClient, network: Network
) -> None:
    network.unreachable.add(1)
    connecting = asyncio.create_task(client.ready(1))
    await asyncio.sleep(0)
    assert await client.ready(2)
    assert not connecting.done()
    await connecting


async def test_what_a_broker_did_not_take_in_time_is_never_sent(client: AIOKafkaClient, network: Network) -> None:
    network.hanging.add(1)
    await client.ready(1)
    connection: Any = client._conns[1, ConnectionGroup.DEFAULT]
    with suppress(KafkaError):
        await client.send(1, HEARTBEAT)
    assert connection.aborted
    assert connection.socket.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) == hanging._NO_LINGER


async def test_what_a_broker_has_not_got_when_a_worker_is_killed_is_never_sent(client: AIOKafkaClient) -> None:
    connection: Any = await client._get_conn(1)
    assert connection.socket.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) == hanging._NO_LINGER


async def test_joining_may_take_long_while_the_broker_answers_other_requests(client: AIOKafkaClient) -> None:
    joining = asyncio.create_task(client.send(1, JOIN, group=ConnectionGroup.COORDINATION))
    await asyncio.sleep(5 * hanging.ANSWER_SECONDS)
    assert not joining.done()
    assert await client.send(1, MetadataRequest([])) == "answer"
    joining.cancel()


async def test_records_may_take_as_long_as_a_slow_network_needs_for_them(
    client: AIOKafkaClient, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hanging, "_SLOWEST", 1_000 / hanging.ANSWER_SECONDS)
    network.hanging.update(BROKERS)
    small, large = (ProduceRequest(None, -1, 1000, [("calls", [(0, bytes(size))])]) for size in (0, 10_000))
    sending = asyncio.create_task(client.send(1, large))
    await asyncio.sleep(5 * hanging.ANSWER_SECONDS)
    assert not sending.done()
    with pytest.raises(RequestTimedOutError):
        await asyncio.wait_for(sending, 100 * hanging.ANSWER_SECONDS)
    with pytest.raises(RequestTimedOutError):
        await asyncio.wait_for(client.send(2, small), 3 * hanging.ANSWER_SECONDS)


async def test_joining_ends_when_the_broker_hangs(client: AIOKafkaClient, network: Network) -> None:
    joining = asyncio.create_task(client.send(1, JOIN, group=ConnectionGroup.COORDINATION))
    await asyncio.sleep(2 * hanging.ANSWER_SECONDS)
    network.hanging.add(1)
    with pytest.raises(KafkaConnectionError):
        await asyncio.wait_for(joining, 100 * hanging.ANSWER_SECONDS)
    assert known(client) == {2}


async def test_a_topic_is_looked_for_as_long_as_a_client_was_made_to_wait(
    network: Network, client: AIOKafkaClient
) -> None:
    network.hanging.update(BROKERS)
    client._sync_task = asyncio.create_task(client._md_synchronizer())
    looking = asyncio.create_task(client._wait_on_metadata("topic"))
    await asyncio.sleep(10 * hanging.ANSWER_SECONDS)
    assert not looking.done()
    looking.cancel()
    client._sync_task.cancel()
