"""Delivering records to Faust's streams: where each partition stands, and the loop that fetches in bounded turns."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from faust.types import TP, ConsumerMessage
from faust.types.tuples import ack_lock

from app.consumer import Consumer as BaseConsumer

from .cleaner import Cleaner
from .errors import LogBlockCorrupt, LogCorrupt, LogUnreadable
from .record import Record, TopicPartition
from .shared import UsesLog

FETCH_MAX_RECORDS = 500
FETCH_MAX_BYTES = 4 * 1024 * 1024
FETCH_MIN_BYTES = 64 * 1024
YIELD_EVERY = 100
RECOVER_RECORDS = 1000  # at once, which takes some 10 ms


class Delivery(UsesLog, BaseConsumer):
    """The half of the consumer that reads. There is no fetch thread: whatever makes a partition readable wakes it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._unsubscribe_durable: Callable[[], None] | None = None
        self._n_acked = 0
        self._assigned: set[TP] = set()
        self._positions: dict[TP, int] = {}
        # Offsets of acking topics that have been delivered and not been counted as acked.
        self._in_flight: dict[TP, set[int]] = {}
        # Partitions that may have something to deliver, in the order of their turns.
        self._ready: dict[TP, None] = {}
        self._readable = asyncio.Event()
        # Partitions that were moved or paused since their batch was fetched: the rest of it is not delivered.
        self._void_batches: set[TP] = set()
        # A stream's queue pauses a partition when it is four fifths full. All partitions of its topic together may
        # deliver at most the last fifth before they notice: a full queue would block every other topic.
        self._queue_reserve = self.app.conf.stream_buffer_maxsize // 5

    async def on_start(self) -> None:
        """Open the log. Raises as `acquire`."""
        await super().on_start()
        self._unsubscribe_durable = self.embedded.on_durable(self._on_durable)
        await self.add_runtime_dependency(Cleaner(self.app, self.embedded, beacon=self.beacon, loop=self.loop))

    async def on_shutdown(self) -> None:
        """Release the log once all tasks of the consumer have ended."""
        if self._unsubscribe_durable is not None:
            self._unsubscribe_durable()
        await super().on_shutdown()

    # -- positions

    def assignment(self) -> set[TP]:
        """Return the partitions assigned: all of the subscribed topics."""
        return set(self._assigned)

    def is_assigned(self, tp: TP) -> bool:
        """Whether a partition is assigned now."""
        return tp in self._assigned

    def _assign(self, assigned: set[TP]) -> None:
        """Replace the assignment, and start each partition where the group has committed."""
        self._assigned = assigned
        self._positions.clear()
        self._in_flight.clear()
        for tp in assigned:
            self._move(tp, self._starting_offset(tp))

    def _starting_offset(self, tp: TP) -> int:
        committed = self.embedded.committed(self.app.conf.id, *tp)
        return self.embedded.earliest(*tp) if committed is None else committed

    def _move(self, tp: TP, offset: int) -> None:
        self._positions[tp] = max(offset, 0)
        self._void_batches.add(tp)
        with ack_lock:
            self._acked[tp].clear()
            self._acked_index[tp].clear()
            self._in_flight[tp] = set()

    async def seek_to_committed(self) -> Mapping[TP, int | None]:
        """Move every stream partition to its committed offset; changelogs stay where recovery put them."""
        streams = [tp for tp in self._assigned if not self._is_changelog_tp(tp)]
        for tp in streams:
            self._move(tp, self._starting_offset(tp))
        self._wake(streams)
        return {tp: self.embedded.committed(self.app.conf.id, *tp) for tp in streams}

    async def _seek(self, partition: TP, offset: int) -> None:
        self._move(TP(*partition), offset)
        self._wake([partition])

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Move partitions to offsets."""
        for tp, offset in partitions.items():
            await self.seek(tp, offset)

    async def position(self, tp: TP) -> int | None:
        """Return the offset that is delivered next, None if the partition is not assigned."""
        return self._positions.get(tp)

    def highwater(self, tp: TP) -> int:
        """Return the offset after the last durable record."""
        return self.embedded.highwater(*tp)

    async def highwaters(self, *partitions: TP) -> Mapping[TP, int]:
        """Return the offset after the last durable record of each partition."""
        return {tp: self.embedded.highwater(*tp) for tp in partitions}

    async def earliest_offsets(self, *partitions: TP) -> Mapping[TP, int]:
        """Return the first offset that each partition still has."""
        return {tp: self.embedded.earliest(*tp) for tp in partitions}

    # -- waking the fetcher

    def _wake(self, tps: Iterable[TP]) -> None:
        self._ready.update(dict.fromkeys(tps))
        self._readable.set()

    def _on_durable(self, partitions: set[TopicPartition]) -> None:
        self._wake(TP(*tp) for tp in partitions if tp in self._assigned)

    def resume_flow(self) -> None:
        """Allow delivery, from the streams too once recovery has resumed them."""
        super().resume_flow()
        self._wake(self._assigned)

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        """Deliver from these partitions again."""
        resumed = set(tps)
        super().resume_partitions(resumed)
        self._wake(resumed)

    def on_buffer_drop(self, tp: TP) -> None:
        """Deliver from this partition again, unless it is paused: its stream has room."""
        super().on_buffer_drop(tp)
        self._wake([tp])

    # -- fetching

    async def _drain_messages(self, fetcher: Any) -> None:
        flow_control = self.app.flow_control
        try:
            while not (self.should_stop or fetcher.should_stop):
                if not self.flow_active:
                    await self.can_resume_flow.wait()
                await flow_control.acquire()
                self._readable.clear()
                if fetched := self._fetch():
                    await self._deliver(fetched)
                elif not self._ready:
                    await self._readable.wait()
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            if not self.app.should_stop:
                raise
        except (LogCorrupt, LogBlockCorrupt) as error:
            self.app.on_hopeless(str(error))
        except LogUnreadable as error:
            self.app.on_unreadable(str(error))

    def _fetch(self) -> dict[TP, list[Record]]:
        turn = [tp for tp in self._ready if tp in self._active_partitions]
        # Whatever makes one of the others deliverable puts it back.
        self._ready = dict.fromkeys(turn)
        if not turn:
            return {}
        if changelog := next(filter(self._is_changelog_tp, turn), None):
            self._recover(changelog)
            return {}
        share = max(1, FETCH_MAX_RECORDS // len(turn))
        share_bytes = max(FETCH_MIN_BYTES, FETCH_MAX_BYTES // len(turn))
        fetched: dict[TP, list[Record]] = {}
        for tp in turn[:FETCH_MAX_RECORDS]:
            del self._ready[tp]
            most = min(share, max(1, self._queue_reserve // (self.embedded.partition_count(tp.topic) or 1)))
            if records := self.embedded.read(tp.topic, tp.partition, self._positions[tp], most, share_bytes):
                fetched[tp] = records
        return fetched

    def _recover(self, tp: TP) -> None:
        """Hand records of a changelog straight to recovery."""
        del self._ready[tp]
        position = self._positions[tp]
        if records := self.embedded.read(tp.topic, tp.partition, position, RECOVER_RECORDS, FETCH_MAX_BYTES):
            self._positions[tp] = records[-1].offset + 1
            self._wake([tp])
            self.app.tables.recovery.apply(tp, records)

    async def _deliver(self, fetched: dict[TP, list[Record]]) -> None:
        positions, void = self._positions, self._void_batches
        active, buffered = self._active_partitions, self._buffered_partitions
        acking = {tp: self._in_flight[tp] for tp in fetched if self.app.topics.acks_enabled_for(tp.topic)}
        callback, is_active = self.callback, self.app.flow_control.is_active
        void.clear()
        for tp in fetched:
            self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
        for count, (tp, record) in enumerate(self.scheduler.iterate(fetched)):
            if not (self.flow_active and is_active()):
                break
            if tp in void or not (tp in active or tp in buffered):
                void.add(tp)
                continue
            message = self._to_message(tp, record)
            in_flight = acking.get(tp)
            if in_flight is not None and record.offset >= (self._committed_offset[tp] or 0):
                in_flight.add(record.offset)
            await callback(message)
            if tp in void:
                continue
            positions[tp] = record.offset + 1
            if in_flight is not None and not message.acked and not message.refcount:
                in_flight.discard(record.offset)  # no stream took it
            if self._commit_every is not None and self._n_acked >= self._commit_every:
                self._n_acked = 0
                await self.commit()
            if count % YIELD_EVERY == YIELD_EVERY - 1:
                await asyncio.sleep(0)
        self._wake(tp for tp in fetched if tp in positions and positions[tp] < self.highwater(tp))

    def _to_message(self, tp: TP, record: Record) -> ConsumerMessage:
        _, partition, offset, timestamp, key, value, headers = record
        return ConsumerMessage(
            tp.topic,
            partition,
            offset,
            timestamp / 1000.0,
            0,
            headers,
            key,
            value,
            None,
            tp=tp,
            generation_id=self.app.consumer_generation_id,
        )

    # Faust's own `_drain_messages` would call these two.

    async def _getmany(self, active_partitions: Any, timeout: float) -> dict[TP, list[Record]]:  # noqa: ASYNC109
        return self._fetch()

    def _new_topicpartition(self, topic: str, partition: int) -> TP:
        return TP(topic, partition)
