"""A broker that hangs, as on a machine that is frozen or behind a network that drops packets.

Kafka gives its partitions and groups to other brokers after `broker.session.timeout.ms`, 9 s by default. aiokafka would
wait for its answers much longer, and go on asking it who leads them now.
"""

import asyncio
import socket
import struct
import time
from collections import defaultdict
from contextlib import nullcontext, suppress
from typing import Any

from aiokafka.client import ConnectionGroup
from aiokafka.conn import CloseReason
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError
from aiokafka.protocol.group import JoinGroupRequest, SyncGroupRequest
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.produce import ProduceRequest

# Longer than brokers pause to collect garbage, and than they wait for each other: after 5 s they say that they still do
# (offsets.commit.timeout.ms, and what a producer asks for). With a heartbeat interval, shorter than a session.
# What a slow broker answers later is asked again, which changes nothing, since producers are idempotent.
ANSWER_SECONDS = 6.0
ACKNOWLEDGE_SECONDS = 5.0

_LONGEST = 90.0  # seconds: members may take a minute to join
_SLOWEST = 500_000  # bytes a second that reach a broker: what it has not got yet it cannot answer
_LONGEST_TO_SEND = 18.0  # seconds: a broker that hangs must be left before what is owed counts as lost
_NO_LINGER = struct.pack("ii", 1, 0)


def limit(client: Any) -> None:
    """Have a client of aiokafka that has not connected yet wait `ANSWER_SECONDS` for an answer, and then ask others.

    Only records may take longer, by their size, and joining a group, for as long as the broker answers other requests.
    """
    limits = _Limits(client)
    client._request_timeout_ms = int(1000 * ANSWER_SECONDS)
    client._get_conn_lock_value = nullcontext()  # else a broker that hangs would hold up connecting to the others
    client._get_conn = limits.connect
    client._on_connection_closed = limits.closed
    client.send = limits.send
    client._wait_on_metadata = limits.wait_on_metadata


class _Limits:
    """What a client does instead of aiokafka's own methods, which these call."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._connect, self._closed, self._send = client._get_conn, client._on_connection_closed, client.send
        self._wait_on_metadata = client._wait_on_metadata
        self._patience = client._request_timeout_ms / 1000  # seconds, as the client was made to wait
        self._locks: defaultdict[Any, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._forgotten: dict[Any, Any] = {}  # brokers that hang

    async def connect(self, node: Any, *, group: ConnectionGroup = ConnectionGroup.DEFAULT) -> Any:
        """A connection to a broker; None if it takes none."""
        connection = self._client._conns.get((node, group))
        if connection is not None and connection.connected():
            return connection  # at once: a producer sends only what it may send at this moment
        async with self._locks[node]:
            connection = await self._connect(node, group=group)
            if connection is not None:
                _send_nothing_after_its_end(connection)
            elif (broker := self._client.cluster.broker_metadata(node)) is not None:
                self._forget(broker.host, broker.port)
        return connection

    def closed(self, connection: Any, reason: CloseReason | None) -> None:
        """A connection is closed."""
        if reason in (None, CloseReason.CONNECTION_TIMEOUT):
            _drop_unsent(connection)
        if reason is CloseReason.CONNECTION_TIMEOUT:
            self._forget(connection.host, connection.port)
        self._closed(connection, reason)

    def _forget(self, host: str, port: int) -> None:
        """Do not ask a broker until another one names it again, or until there is no other."""
        known = self._client.cluster._brokers
        for node in [node for node, broker in known.items() if (broker.host, broker.port) == (host, port)]:
            self._forgotten[node] = known.pop(node)
        if not known:
            known.update(self._forgotten)
            self._forgotten.clear()

    async def send(self, node: Any, request: Any, *, group: Any = ConnectionGroup.DEFAULT) -> Any:
        """The answer to a request."""
        seconds = _seconds_for(request)
        connection = await self._client._get_conn(node, group=group) if seconds > ANSWER_SECONDS else None
        if connection is None:
            return await self._send(node, request, group=group)
        connection._request_timeout = seconds  # of all that waits behind the answer
        joins = not isinstance(request, ProduceRequest)
        watching = asyncio.create_task(_close_if_it_hangs(self._client, node, connection)) if joins else None
        try:
            return await self._send(node, request, group=group)
        finally:
            connection._request_timeout = ANSWER_SECONDS
            if watching is not None:
                watching.cancel()

    async def wait_on_metadata(self, topic: str) -> Any:
        """The partitions of a topic."""
        ends = time.monotonic() + self._patience
        while True:
            try:
                return await self._wait_on_metadata(topic)
            except UnknownTopicOrPartitionError:  # or no broker has answered
                if time.monotonic() > ends:
                    raise


def _seconds_for(request: Any) -> float:
    """How long an answer may take."""
    if isinstance(request, ProduceRequest):
        size = sum(len(batch) for _, partitions in request._topics for _, batch in partitions)
        return ANSWER_SECONDS + min(size / _SLOWEST, _LONGEST_TO_SEND)
    return _LONGEST if isinstance(request, JoinGroupRequest | SyncGroupRequest) else ANSWER_SECONDS


async def _close_if_it_hangs(client: Any, node: Any, connection: Any) -> None:
    with suppress(KafkaError):
        while True:
            await asyncio.sleep(ANSWER_SECONDS)
            await client.send(node, MetadataRequest([]))
    connection.close(reason=CloseReason.CONNECTION_TIMEOUT)


def _send_nothing_after_its_end(connection: Any) -> None:
    # The system would send what it still has of a request once the network is back, even after this process has ended:
    # records of a worker that was killed while it was cut off would come behind those of the new owner.
    transport = connection._protocol._transport
    connected = None if transport is None else transport.get_extra_info("socket")
    if connected is not None:  # else it was lost just now
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)


def _drop_unsent(connection: Any) -> None:
    if (transport := connection._protocol._transport) is not None:
        transport.abort()
