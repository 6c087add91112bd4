"""Faust's consumer on the embedded log: a group with one member, which halts while nothing can be written."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from faust.types import TP, Message
from faust.types.tuples import ack_lock

from .assignment import assign
from .delivery import Delivery
from .errors import LogFailed
from .reopening import reopen


class Consumer(Delivery):
    """Reads the log at the transport's path and commits, under the app's id, at most the lowest unacked offset.

    It halts at the first write that fails, of the log or of a table: it delivers and commits nothing. Once the disk can
    be written a rebalance follows, so tables are recovered, and records come again from the committed offsets on.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._rebalance_lock = asyncio.Lock()
        self._halted = False
        self._unsubscribe_failed: Callable[[], None] | None = None

    async def on_start(self) -> None:
        """Open the log. Raises as `acquire`."""
        await super().on_start()
        self._unsubscribe_failed = self.embedded.on_failed(self._halt)

    async def on_shutdown(self) -> None:
        """Release the log."""
        if self._unsubscribe_failed is not None:
            self._unsubscribe_failed()
        await super().on_shutdown()

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
            app = self.app
            app.on_rebalance_start()
            await self.on_partitions_revoked(self._assigned)
            app.consumer_generation_id += 1
            self._assign(assign(app, topics, self.embedded.partition_count))
            await self.on_partitions_assigned(set(self._assigned), app.consumer_generation_id)
            self._wake(self._assigned)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Count the acks before the base class drops them: a commit follows."""
        for tp in revoked:
            self._count_acks(tp)
        await super().on_partitions_revoked(revoked)

    # -- commits

    def ack(self, message: Message) -> bool:
        """Count a message as done, unless it is delivered again, or will be."""
        if not self._halted and message.generation_id == self.app.consumer_generation_id:
            return super().ack(message)
        return False

    def _count_acks(self, tp: TP) -> None:
        with ack_lock:
            acked = self._acked[tp]
            if acked:
                self._in_flight.setdefault(tp, set()).difference_update(acked)
                acked.clear()
                self._acked_index[tp].clear()

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        return (tp for tp in list(self._in_flight) if topics is None or tp in topics or tp.topic in topics)

    def _committable(self, tp: TP) -> int | None:
        # The base class can commit past a message in flight when acks come out of order.
        if tp not in self._positions or not self.app.topics.acks_enabled_for(tp.topic):
            return None
        self._count_acks(tp)
        in_flight = self._in_flight[tp]
        offset = min(in_flight) if in_flight else self._positions[tp]
        committed = self.embedded.committed(self.app.conf.id, *tp)
        return offset if offset > (self.embedded.earliest(*tp) if committed is None else committed) else None

    async def _commit_tps(self, tps: Iterable[TP], start_new_transaction: bool) -> bool:
        if self._halted:
            return False
        try:
            return await super()._commit_tps(tps, start_new_transaction)
        except LogFailed:
            return False

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        await self.embedded.commit(self.app.conf.id, {tuple(tp): offset for tp, offset in offsets.items()})
        return True

    # -- halting

    def on_failed_write(self, path: Path, error: Exception) -> None:
        """Halt as if the log could not be written: records cannot be applied to the table at `path`."""
        self.embedded.fail(LogFailed(path, error))

    def resume_flow(self) -> None:
        """Allow delivery, unless nothing can be written."""
        if not self._halted:
            super().resume_flow()

    def _halt(self, failure: LogFailed) -> None:
        self._halted = True
        self._void_messages()
        self.stop_flow()
        self.app.flow_control.suspend()
        self.app.flow_control.clear()
        self.app.on_halt(failure)
        self.add_future(self._resume())

    def _void_messages(self) -> None:
        # They are delivered again, so an agent that still works on one works in vain. Faust's compiled streams count an
        # ack without asking the consumer, unless the message has been acked.
        with ack_lock:
            for message in list(self._unacked_messages):
                message.acked = True
            self._unacked_messages.clear()

    async def _resume(self) -> None:
        await reopen(self.app, self.embedded)
        # Nothing else runs between this and the start of the rebalance, so at no time does the worker look ready.
        self.log.warning("the disk can be written again: records come again from the committed offsets on")
        self._halted = False
        if self._assigned:  # else the first assignment is still to come
            await self._rebalance({tp.topic for tp in self._assigned})

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
