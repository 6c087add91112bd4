"""Consuming from Kafka: an offset is committed only when all before it is done and its effects are in the log."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import aiokafka
from aiokafka.errors import KafkaConnectionError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from app.consumer import Consumer as BaseConsumer

# Whatever is asked on the connection that fetches waits for the fetch before, and so does the fetch after a seek: with
# Faust's 1500 ms a worker's start would wait for seconds.
FETCH_MAX_WAIT_MS = 200


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """Faust's thread, with fetches that come back soon when there is nothing to fetch."""

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_MAX_WAIT_MS
        return consumer

    async def on_thread_stop(self) -> None:
        """Disconnect. A fetch that is cut off while it waits to try again has aiokafka break off, too."""
        with suppress(asyncio.CancelledError):
            await super().on_thread_stop()


class Consumer(BaseConsumer, driver.Consumer):
    """Faust's consumer, whose commits pass neither an unacknowledged record nor a send that failed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._asking: aiokafka.AIOKafkaConsumer | None = None
        self._behind: dict[TP, list[int]] = {}  # what is acknowledged behind what is not, as of the last look

    def has(self, tp: TP) -> bool:
        """Whether a partition is assigned now; `assignment` makes a set of all, each time."""
        return tp in self._thread._ensure_consumer().assignment()

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def on_start(self) -> None:
        """Connect once more, for questions: on the connection that fetches they wait until a fetch has waited."""
        await super().on_start()
        self._asking = aiokafka.AIOKafkaConsumer(
            bootstrap_servers=driver.server_list(self.transport.url, self.transport.default_port),
            client_id=self.app.conf.broker_client_id,
            **driver.credentials_to_aiokafka_auth(self.app.conf.broker_credentials, self.app.conf.ssl_context),
        )
        await self._asking.start()

    async def _getmany(self, active_partitions: Any, timeout: float) -> dict[TP, list[Any]]:  # noqa: ASYNC109
        """Fetch; what comes from changelogs goes to recovery, and is not delivered."""
        generation = self.app.consumer_generation_id
        fetched: dict[TP, list[Any]] = await super()._getmany(active_partitions, timeout)
        # A fetch that began before a rebalance may end behind it, with records that Faust drops: of what was assigned
        # then, and of what is assigned now and has been sought while the fetch was under way.
        current = self.flow_active and generation == self.app.consumer_generation_id
        for tp in list(fetched):
            if not current or not self._is_wanted(tp):
                self._give_back(tp, fetched.pop(tp))
            elif self._is_changelog_tp(tp):
                self.app.tables.recovery.apply(TP(*tp), fetched.pop(tp))
        return fetched

    def _is_wanted(self, tp: TP) -> bool:
        return tp in self._get_active_partitions() or tp in self._buffered_partitions

    def _give_back(self, tp: TP, records: list[Any]) -> None:
        """Fetch these again later: they came when nobody wanted them, and are behind the position now."""
        consumer = self._thread._ensure_consumer()
        assignment = consumer._subscription.subscription.assignment
        state = assignment.state_value(tp) if assignment is not None else None
        # Another position is one that recovery has sought since.
        if state is not None and state.has_valid_position and state.position == records[-1].offset + 1:
            consumer.seek(tp, records[0].offset)

    async def perform_seek(self) -> None:
        """Move every stream partition to its committed offset, or to its start where nothing has been committed."""
        await super().perform_seek()
        fresh = [tp for tp in self.assignment() if not self._is_changelog_tp(tp) and not self._committed_offset[tp]]
        if fresh and self.app.conf.consumer_auto_offset_reset == "earliest":
            await self._thread.seek_to_beginning(*driver.ensure_aiokafka_TPset(fresh))

    async def on_stop(self) -> None:
        await super().on_stop()
        asking, self._asking = self._asking, None
        if asking is not None:
            await asking.stop()

    async def highwaters(self, *partitions: TP) -> Mapping[TP, int]:
        """The offset after the last record of each partition. Raises KafkaError, also once this has been stopped."""
        if self._asking is None:
            raise KafkaConnectionError("this worker has stopped asking")
        # All at once: it would learn of one unknown topic after the other, with a pause after each.
        client = self._asking._client
        await client.set_topics(client._topics | {tp.topic for tp in partitions})
        ends: Mapping[TP, int] = await self._asking.end_offsets(partitions)
        return ends

    def _hold(self) -> None:
        super()._hold()
        self._behind.clear()

    def _done(self, tp: TP) -> int | None:
        """The first unacknowledged offset, if there are acknowledged ones before it; None if that is nothing new.

        Faust's own takes the first unbroken run of acknowledged offsets, whatever lies before it, as long as nothing
        has been committed yet, and where it closes gaps it takes records in flight for missing ones. Of what is
        acknowledged behind one that is not only the last is remembered: that may be a day's requests.
        """
        acked = self._acked[tp]
        if not acked or acked == self._behind.get(tp):
            return None
        first, last = min(acked), max(acked)
        oldest = min((message.offset for message in self._unacked_messages if message.tp == tp), default=None)
        acked[:] = [last] if oldest is not None and oldest < last else []
        self._behind[tp] = list(acked)
        self._acked_index[tp].intersection_update(acked)
        if oldest is None or oldest > last:
            return last + 1
        return oldest if first < oldest else None

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        if self.app.producer.failed is not None:
            return False
        return bool(await super()._commit(offsets))
