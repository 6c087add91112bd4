"""Faust's consumer on the embedded log: one member, no thread, woken by whatever makes a partition readable."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NoReturn

from faust.types import TP
from faust.types.tuples import ack_lock

from .assignment import assign
from .halting import Halting


class Consumer(Halting):
    """Reads the log at the transport's path and commits, under the app's id, at most the lowest unacked offset."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._rebalance_lock = asyncio.Lock()

    # -- life

    async def on_restart(self) -> None:
        """Forget what was assigned: the group is joined again."""
        await super().on_restart()
        self._assigned = set()

    # -- group

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Create the topics that are missing and start a rebalance over all of them."""
        wanted = set(topics)
        for topic in wanted:
            if self.embedded.partition_count(topic) is None:
                self.embedded.create_topic(topic, self.app.conf.topic_partitions)
        # Not awaited: assigning waits for the conductor, which waits for this call.
        self.add_future(self._rebalance(wanted))

    async def _rebalance(self, topics: Iterable[str]) -> None:
        async with self._rebalance_lock:
            app, embedded = self.app, self.embedded
            app.on_rebalance_start()
            await self.on_partitions_revoked(self._assigned)
            app.consumer_generation_id += 1
            self._assigned = assign(app, topics, embedded.partition_count)
            self._positions.clear()
            self._in_flight.clear()
            for tp in self._assigned:
                self._move(tp, self._starting_offset(tp))
            await self.on_partitions_assigned(set(self._assigned), app.consumer_generation_id)
            self._wake(self._assigned)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Count the acks before the base class drops them: a commit follows."""
        for tp in revoked:
            self._count_acks(tp)
        await super().on_partitions_revoked(revoked)

    def assignment(self) -> set[TP]:
        """Return the partitions assigned: all of the subscribed topics."""
        return set(self._assigned)

    def has(self, tp: TP) -> bool:
        """Whether a partition is assigned now."""
        return tp in self._assigned

    # -- positions

    def _starting_offset(self, tp: TP) -> int:
        committed = self.embedded.committed(self.app.conf.id, *tp)
        if committed is not None:
            return committed
        latest = self.app.conf.consumer_auto_offset_reset == "latest" and not self._is_changelog_tp(tp)
        return self.embedded.highwater(*tp) if latest else self.embedded.earliest(*tp)

    def _move(self, tp: TP, offset: int) -> None:
        self._positions[tp] = max(offset, 0)
        self._sought.add(tp)
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

    # -- topics

    def topic_partitions(self, topic: str) -> int | None:
        """Return the number of partitions of a topic, None if there is no such topic."""
        return None if self._embedded is None else self._embedded.partition_count(topic)

    def key_partition(self, *args: Any, **options: Any) -> NoReturn:
        """Raise NotImplementedError: Faust's interface requires it, and nothing calls it."""
        raise NotImplementedError("ask app.topics which partition owns a key")

    def create_topic(self, *args: Any, **options: Any) -> NoReturn:
        """Raise NotImplementedError: Faust's interface requires it, and nothing calls it."""
        raise NotImplementedError("the producer creates topics")

    def _new_topicpartition(self, topic: str, partition: int) -> TP:
        return TP(topic, partition)

    # -- commits

    def _count_acks(self, tp: TP) -> None:
        with ack_lock:
            acked = self._acked[tp]
            if acked:
                self._in_flight.setdefault(tp, set()).difference_update(acked)
                acked.clear()
                self._acked_index[tp].clear()

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        return (tp for tp in list(self._in_flight) if topics is None or tp in topics or tp.topic in topics)

    def _done(self, tp: TP) -> int | None:
        # The base class can commit past a message in flight when acks come out of order.
        if tp not in self._positions or not self.app.topics.acks_enabled_for(tp.topic):
            return None
        self._count_acks(tp)
        in_flight = self._in_flight[tp]
        offset = min(in_flight) if in_flight else self._positions[tp]
        committed = self.embedded.committed(self.app.conf.id, *tp)
        return offset if offset > (self.embedded.earliest(*tp) if committed is None else committed) else None

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        await self.embedded.commit(self.app.conf.id, {tuple(tp): offset for tp, offset in offsets.items()})
        return True
