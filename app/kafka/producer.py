"""Sending to Kafka: in order, acknowledged by all in-sync replicas, and never lost unnoticed."""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from typing import Any

from aiokafka.errors import KafkaError, KafkaTimeoutError, NodeNotReadyError
from aiokafka.producer.transaction_manager import NO_PRODUCER_EPOCH, NO_PRODUCER_ID, PidAndEpoch
from aiokafka.protocol.produce import ProduceRequest
from faust.exceptions import NotReady
from faust.transport.drivers import aiokafka as driver
from mode import Service

from .hanging import ACKNOWLEDGE_SECONDS, limit

log = logging.getLogger(__name__)

_DOUBT_PAUSE = 0.1  # seconds between looks at whether the membership is still in doubt

Headers = Sequence[tuple[str, bytes]]
_Record = tuple[str, int, bytes | None, bytes | None, Headers, "asyncio.Future[Any]"]


class Producer(driver.Producer):
    """Faust's producer with a synchronous `append`, the same as the embedded log's."""

    one_order = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.failed: KafkaError | NotReady | None = None
        self._records: deque[_Record] = deque()
        self._owed: deque[tuple[float, asyncio.Future[Any]]] = deque()  # in order of their deadlines
        self._unsent = asyncio.Event()
        self._all_handed_over = asyncio.Event()
        self._all_handed_over.set()

    def _new_producer(self, transactional_id: str | None = None) -> Any:
        producer = super()._new_producer(transactional_id)
        producer._sender._request_timeout_ms = int(1000 * ACKNOWLEDGE_SECONDS)
        limit(producer.client)
        return producer

    async def on_start(self) -> None:
        """Connect, and from now on send no record while the membership is in doubt."""
        await super().on_start()
        client = self._ensure_producer().client
        send = client.send

        async def fenced(node: int, request: Any, **options: Any) -> Any:
            if isinstance(request, ProduceRequest):
                await self._wait_for_membership(client, node)
            return await send(node, request, **options)

        client.send = fenced

    async def _wait_for_membership(self, client: Any, node: int) -> None:
        """Wait until a connection is there and, at that moment, the membership is not in doubt.

        Raises:
            NodeNotReadyError: there is no connection.
        """
        while True:
            if not await client.ready(node):
                raise NodeNotReadyError(f"node {node} cannot be reached")
            if not self.app.consumer.membership.in_doubt:
                return
            await asyncio.sleep(_DOUBT_PAUSE)

    def append(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers = (),
        *,
        owed: bool = False,
    ) -> "asyncio.Future[Any]":
        """Send a record; the future resolves to its RecordMetadata once all in-sync replicas have it.

        An `owed` record is an effect of one that was consumed: if it fails for good, or is not acknowledged within
        the request time-out, nothing is committed any more and the app is told (`on_lost_send`).

        Raises:
            NotReady: the producer has not been started, so it is unknown when this could be sent.
        """
        if not owed:
            self._ensure_producer()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        if owed:
            future.add_done_callback(self._check_owed)
            self._owed.append((loop.time() + self.request_timeout, future))
        self._records.append((topic, partition, key, value, headers, future))
        self._all_handed_over.clear()
        self._unsent.set()
        return future

    def append_all(
        self, topic: str, partition: int, records: Sequence[tuple[bytes, bytes | None]]
    ) -> "asyncio.Future[Any]":
        """Send keys and values that are `owed`; the future is that of the last, which is acknowledged last."""
        return [self.append(topic, partition, key, value, owed=True) for key, value in records][-1]

    def push(self) -> None:
        """Do nothing: the sending task does not wait for the end of the turn."""

    async def flush(self) -> None:
        """Wait until everything appended is acknowledged. Raises the error of an owed record that failed."""
        await self._all_handed_over.wait()
        await super().flush()
        if self.failed is not None:
            raise self.failed

    @Service.task
    async def _hand_over(self) -> None:
        while not self.should_stop:
            await self._unsent.wait()
            self._unsent.clear()
            while self._records:
                topic, partition, key, value, headers, future = self._records.popleft()
                try:
                    sent = await self._ensure_producer().send(
                        topic, value, key=key, partition=partition, headers=headers
                    )
                except (KafkaError, NotReady) as error:  # the latter if the worker stops meanwhile
                    _fail(future, error)
                else:
                    sent.add_done_callback(lambda sent, future=future: self._copy(sent, future))
            self._all_handed_over.set()

    @Service.task
    async def _watch_owed(self) -> None:
        # aiokafka's idempotent producer retries for ever, even what a broker will never accept.
        owed = self._owed
        async for _ in self.itertimer(min(1.0, self.request_timeout / 4), name="watch-owed"):
            now = asyncio.get_running_loop().time()
            while owed and (owed[0][1].done() or owed[0][0] <= now):
                _fail(owed.popleft()[1], KafkaTimeoutError(f"not acknowledged within {self.request_timeout:g} s"))

    @Service.task
    async def _drop_unsent(self) -> None:
        # The system would send what it still has of a request once the network is back, even after this process has
        # ended. So only a request that the broker already has, or the network, can take effect after the session.
        doubted = False
        async for _ in self.itertimer(1.0, name="drop-unsent"):
            before, doubted = doubted, self.app.consumer.membership.in_doubt
            if doubted and not before:
                for connection in list(self._ensure_producer().client._conns.values()):
                    connection.close()

    def _copy(self, sent: "asyncio.Future[Any]", future: "asyncio.Future[Any]") -> None:
        if sent.cancelled():
            future.cancel()
        elif (error := sent.exception()) is not None:
            self._renew_producer_id()
            _fail(future, error)
        elif not future.done():
            future.set_result(sent.result())

    def _renew_producer_id(self) -> None:
        # A batch that is refused for good has used up a sequence number, so the broker would refuse all later ones of
        # its partition as out of order. Under a new producer id the numbers start anew.
        manager = self._ensure_producer()._txn_manager
        manager._pid_and_epoch = PidAndEpoch(NO_PRODUCER_ID, NO_PRODUCER_EPOCH)
        manager._pid_waiter = asyncio.get_running_loop().create_future()
        manager._sequence_numbers.clear()

    def _check_owed(self, future: "asyncio.Future[Any]") -> None:
        error = None if future.cancelled() else future.exception()
        if isinstance(error, KafkaError | NotReady):
            self.failed = error  # so that nothing is committed any more
            if isinstance(error, KafkaError):
                self.app.on_lost_send(error)

    def _settings_extra(self) -> dict[str, Any]:
        return {"acks": "all", "enable_idempotence": True}


def _fail(future: "asyncio.Future[Any]", error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
        future.exception()  # asyncio would log an exception that nobody retrieves
