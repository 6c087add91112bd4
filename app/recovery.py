"""Recovery of tables from their changelogs: the consumer's batches of records go straight into the stores.

Faust's own recovery makes a message and an event of every record and queues it, some 70 µs of Python a record. It also
counts a record as recovered if its store could not be written, and writes offsets apart from rows. Here each batch is
one write: the rows, and the offset of the last of them.
"""

import logging
import time
from collections.abc import Sequence
from itertools import dropwhile
from typing import Any, Protocol

from faust.tables import recovery as faust_recovery
from faust.tables.manager import TableManager
from faust.types import TP
from mode import Service
from rocksdict import WriteBatch

log = logging.getLogger(__name__)


class Record(Protocol):
    """What recovery reads of a changelog record. None as value deletes the row."""

    @property
    def offset(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...


class Recovery(faust_recovery.Recovery):
    """Faust's recovery service; consumers pass it the records of changelogs directly, without queues and streams."""

    _began: tuple[float, int] | None = None  # when, and how many records were left to read
    _rebalance = 0  # the number of the one that it follows

    def apply(self, tp: TP, records: Sequence[Record]) -> None:
        """Put records of one changelog partition, in order, into its table's store.

        The records must follow the last ones applied, or repeat some of them. If the store cannot be written,
        `on_cannot_store` is called: a later recovery continues after what is in the store.
        """
        active = tp in self.active_tps
        if not active and tp not in self.standby_tps:
            return  # it was revoked meanwhile
        offsets = self.active_offsets if active else self.standby_offsets
        seen = offsets.get(tp)
        if active and self._began is None:
            self._began = (time.monotonic(), self.active_remaining_total())
        new = list(records if seen is None else dropwhile(lambda record: record.offset <= seen, records))
        if new:
            try:
                self._store(tp, new)
            except Exception as error:  # rocksdict raises bare Exception
                self.app.on_cannot_store(self.tp_to_table[tp].data.path, error)
                return
            offsets[tp] = new[-1].offset
            self._last_flush_at = time.monotonic()
            if active:
                self._active_events_received_at[tp] = self._last_flush_at
        self._finish_if_done()

    def progress(self) -> str:
        """How far the recovery of the active tables is, as text; empty if nothing is left to recover."""
        left = self.active_remaining_total()
        if left <= 0:
            return ""
        since, total = self._began or (time.monotonic(), left)
        seconds = time.monotonic() - since
        eta = f", about {seconds * left / (total - left):.0f} s to go" if total > left and seconds > 1 else ""
        return f": {100 * (total - left) / total:.0f} % of {total} changelog records{eta}"

    def _store(self, tp: TP, records: Sequence[Record]) -> None:
        store = self.tp_to_table[tp].data
        batch = WriteBatch(raw_mode=True)
        for record in records:
            key, value = record.key, record.value
            if key is None:
                continue  # callscore writes no such records
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        batch.put(store.offset_key, b"%d" % records[-1].offset)
        store.write(tp.partition, batch)

    def _finish_if_done(self) -> None:
        if self.in_recovery and not self.need_recovery():
            if self._began is not None:
                since, total = self._began
                log.info("recovered %d changelog records in %.2f s", total, time.monotonic() - since)
            self._set_recovery_ended()
            self.signal_recovery_end.set()

    async def on_rebalance(self, *args: Any, **options: Any) -> None:
        """Recover what was assigned."""
        self._rebalance = self.app.rebalancing_count
        await super().on_rebalance(*args, **options)

    async def _wait(self, *args: Any, **options: Any) -> None:
        # Faust's own goes on until the next assignment. In between it would say that the rebalance has ended, and then
        # nobody knew that the tables of that assignment are being recovered.
        await super()._wait(*args, **options)
        self._check_not_overtaken()

    async def on_recovery_completed(self, generation_id: int = 0) -> None:
        """Let streams go on, unless partitions move again, which Faust ignores while it waits for the last record."""
        self._check_not_overtaken()
        await super().on_recovery_completed(generation_id)

    def _check_not_overtaken(self) -> None:
        if self.app.rebalancing_count != self._rebalance:
            raise faust_recovery.RebalanceAgain

    def _set_recovery_started(self) -> None:
        super()._set_recovery_started()
        self._began = None
        self.signal_recovery_end.clear()

    @Service.task
    async def _slurp_changelogs(self) -> None:
        """Do nothing: no record comes through the queue."""


class Tables(TableManager):
    """Starts at once, while Faust's own waits a second for tables that are declared late."""

    _recovery: Recovery | None = None

    @property
    def recovery(self) -> Recovery:
        """The service that recovers the tables."""
        if self._recovery is None:
            self._recovery = Recovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery

    async def on_start(self) -> None:
        await self._update_channels()
        await self.recovery.start()

    def recovery_progress(self) -> str:
        """How far the recovery of the tables is, as text: percentage and seconds left."""
        return self.recovery.progress() if self._recovery is not None else ""
