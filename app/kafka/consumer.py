"""Consuming from Kafka: an offset is committed only when all before it is done and its effects are in the log."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import aiokafka
from aiokafka.errors import GroupAuthorizationFailedError, KafkaConnectionError, KafkaError
from aiokafka.protocol.group import SyncGroupRequest
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from app.consumer import Consumer as BaseConsumer

from .hanging import limit
from .membership import Membership, now

# Any request on the fetching connection waits for the fetch before it, and so does the fetch after a seek: with Faust's
# 1500 ms a worker would take seconds longer to start.
FETCH_MAX_WAIT_MS = 200


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """Faust's thread, with fetches that return soon when there is nothing to fetch, and a known `Membership`."""

    async def on_start(self) -> None:
        """Connect, and from now on note what the group says of this member."""
        await super().on_start()
        _note_answers(self._consumer._coordinator, self.consumer.membership)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Give partitions back: what is owed for them is in the log afterwards."""
        await super().on_partitions_revoked(revoked)
        self.consumer.membership.end()

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Take partitions, and send heartbeats meanwhile: opening many tables may take longer than a session."""
        if assigned:
            self.consumer.membership.begin()
        self._consumer._coordinator._start_heartbeat_task()  # which aiokafka would do afterwards
        await super().on_partitions_assigned(assigned, generation_id)

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_MAX_WAIT_MS
        consumer._fetch_max_bytes = self.app.conf.consumer_max_fetch_size
        limit(consumer._client)
        return consumer

    async def on_thread_stop(self) -> None:
        """Disconnect. aiokafka raises CancelledError if it is interrupted while it waits to retry a fetch."""
        with suppress(asyncio.CancelledError):
            await super().on_thread_stop()


def _note_answers(coordinator: Any, membership: Membership) -> None:
    do_heartbeat, reset_generation = coordinator._do_heartbeat, coordinator.reset_generation
    send_request = coordinator._send_req

    async def send(request: Any) -> Any:
        if isinstance(request, SyncGroupRequest):
            membership.ask()
        return await send_request(request)

    async def heartbeat() -> bool:
        sent = now()
        try:
            known: bool = await do_heartbeat()
        except GroupAuthorizationFailedError:
            raise
        except KafkaError:  # aiokafka would end all heartbeats, as while another coordinator loads the group
            return False
        if known:
            membership.confirm(sent)
        return known

    def reset() -> None:
        if not coordinator._closing.done():
            membership.deny()
        reset_generation()

    coordinator._send_req = send
    coordinator._do_heartbeat = heartbeat
    coordinator.reset_generation = reset


class Consumer(BaseConsumer, driver.Consumer):
    """Faust's consumer, whose commits pass neither an unacknowledged record nor a send that failed."""

    def __init__(self, transport: Any, *args: Any, **kwargs: Any) -> None:
        app = transport.app
        # Kafka counts a session from when it received the last heartbeat. Whatever is sent before the doubt begins has
        # one heartbeat interval to arrive.
        limit = app.conf.broker_session_timeout - app.conf.broker_heartbeat_interval
        self.membership = Membership(limit, app.on_lost_membership)
        super().__init__(transport, *args, **kwargs)
        self._offset_client: aiokafka.AIOKafkaConsumer | None = None
        self._acked_before: dict[TP, list[int]] = {}  # what was acked and not committable the last time

    @property
    def member_id(self) -> str:
        """This worker's id in the group; empty while it is no member."""
        coordinator = getattr(self._thread._consumer, "_coordinator", None)
        return getattr(coordinator, "member_id", "")

    @property
    def in_doubt(self) -> bool:
        return self.membership.in_doubt

    def is_assigned(self, tp: TP) -> bool:
        """Whether a partition is assigned now; unlike `assignment` it copies nothing."""
        return tp in self._thread._ensure_consumer().assignment()

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def on_start(self) -> None:
        """Open a second connection to ask for end offsets: on the first they would wait for the fetch under way."""
        await super().on_start()
        self._offset_client = aiokafka.AIOKafkaConsumer(
            bootstrap_servers=driver.server_list(self.transport.url, self.transport.default_port),
            client_id=self.app.conf.broker_client_id,
            **driver.credentials_to_aiokafka_auth(self.app.conf.broker_credentials, self.app.conf.ssl_context),
        )
        limit(self._offset_client._client)
        await self._offset_client.start()

    async def _getmany(self, active_partitions: Any, timeout: float) -> dict[TP, list[Any]]:  # noqa: ASYNC109
        """Fetch; records of changelogs go to recovery, and are not delivered."""
        generation = self.app.consumer_generation_id
        fetched: dict[TP, list[Any]] = await super()._getmany(active_partitions, timeout)
        # A fetch that began before a rebalance may end after it. Faust then drops all of its records, also those of
        # partitions that are still assigned, or that recovery has moved in the meantime.
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
        """Have these fetched again later: they cannot be delivered now, and the position is past them."""
        consumer = self._thread._ensure_consumer()
        assignment = consumer._subscription.subscription.assignment
        state = assignment.state_value(tp) if assignment is not None else None
        # At any other position, recovery has moved the partition since.
        if state is not None and state.has_valid_position and state.position == records[-1].offset + 1:
            consumer.seek(tp, records[0].offset)

    async def perform_seek(self) -> None:
        """Move every stream partition to its committed offset, or to its start where nothing has been committed."""
        await super().perform_seek()
        fresh = [tp for tp in self.assignment() if not self._is_changelog_tp(tp) and not self._committed_offset[tp]]
        if fresh:
            await self._thread.seek_to_beginning(*driver.ensure_aiokafka_TPset(fresh))

    async def on_stop(self) -> None:
        await super().on_stop()
        client, self._offset_client = self._offset_client, None
        if client is not None:
            await client.stop()

    async def highwaters(self, *partitions: TP) -> Mapping[TP, int]:
        """The offset after the last record of each partition. Raises KafkaError, also after a stop."""
        if self._offset_client is None:
            raise KafkaConnectionError("this worker has stopped asking")
        # All at once: aiokafka would look up unknown topics one by one, with a pause after each.
        client = self._offset_client._client
        await client.set_topics(client._topics | {tp.topic for tp in partitions})
        ends: Mapping[TP, int] = await self._offset_client.end_offsets(partitions)
        return ends

    def _hold(self) -> None:
        super()._hold()
        self._acked_before.clear()

    def _committable(self, tp: TP) -> int | None:
        """The first unacknowledged offset, if there are acknowledged ones before it; None if it is not a new one.

        Faust would commit past a record in flight: before the first commit it takes the first run of acknowledged
        offsets wherever it begins, and when it closes gaps it takes records in flight for missing ones.
        Of the acknowledged offsets after an unacknowledged one only the last is kept, as there may be very many.
        """
        acked = self._acked[tp]
        if not acked or acked == self._acked_before.get(tp):
            return None
        first, last = min(acked), max(acked)
        oldest = min((message.offset for message in self._unacked_messages if message.tp == tp), default=None)
        acked[:] = [last] if oldest is not None and oldest < last else []
        self._acked_before[tp] = list(acked)
        self._acked_index[tp].intersection_update(acked)
        if oldest is None or oldest > last:
            return last + 1
        return oldest if first < oldest else None

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        if self.app.producer.failed is not None:
            return False
        return bool(await super()._commit(offsets))
