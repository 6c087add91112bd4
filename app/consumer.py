"""What the consumers of both logs have in common: when streams are delivered, and what a stop commits."""

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any

from faust.transport.consumer import Consumer as BaseConsumer
from faust.types import TP


class Consumer(BaseConsumer):
    """Delivers from streams only after recovery, and commits at a stop only what was done before it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Recovery resumes the streams' partitions, seeks, and then clears the streams' queues. Whatever was delivered
        # in between would be lost without an ack, so these partitions wait until the flow is resumed afterwards.
        self._holding = True
        self._held: set[TP] = set()
        self._frozen: dict[TP, int] | None = None  # while the app stops: the offsets that may still be committed

    @property
    def in_doubt(self) -> bool:
        """Whether others may have this worker's partitions, so that its tables may lack what they write."""
        return False

    @abstractmethod
    def _committable(self, tp: TP) -> int | None:
        """The offset that may be committed in a partition, None if it is not a new one."""

    def last_committed(self, tp: TP) -> int:
        """The offset to which this worker knows a partition to be committed, 0 if to none."""
        return self._committed_offset.get(tp) or 0

    # -- delivery

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Deliver from no stream until recovery has ended."""
        self._hold()
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Deliver from no stream until recovery has ended."""
        self._hold()
        await super().on_partitions_assigned(assigned, generation_id)

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        """Deliver from these partitions again; during recovery only from changelogs."""
        resumed = set(tps)
        if self._holding:
            streams = {tp for tp in resumed if not self._is_changelog_tp(tp)}
            self._held |= streams
            resumed -= streams
        super().resume_partitions(resumed)

    def resume_flow(self) -> None:
        """Allow delivery, from the streams too once recovery has resumed them."""
        super().resume_flow()
        if self._held:
            held, self._held, self._holding = self._held, set(), False
            super().resume_partitions(held)

    def on_buffer_drop(self, tp: TP) -> None:
        """Deliver from this partition again, unless it is paused: its stream has room."""
        super().on_buffer_drop(tp)
        self._get_active_partitions().difference_update(self._paused_partitions)

    def _hold(self) -> None:
        self._holding = True
        self._held.clear()

    # -- stopping

    def stop_flow(self) -> None:
        """Stop delivery."""
        super().stop_flow()
        if self.app.should_stop:
            self._freeze_offsets()

    def _freeze_offsets(self) -> None:
        # An agent that is cancelled acks the event it was working on: from now on an ack does not mean that it is done.
        offsets = {tp: self._committable(tp) for tp in list(self._acked)}
        self._frozen = {tp: offset for tp, offset in offsets.items() if offset is not None}

    def _new_offset(self, tp: TP) -> int | None:
        return self._committable(tp) if self._frozen is None else self._frozen.pop(tp, None)
