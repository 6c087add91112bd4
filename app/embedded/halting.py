"""What the consumer does while nothing can be written: it delivers and commits nothing, and goes on when that is over.

Going on is a rebalance: tables are opened again and recovered, and records come again from the committed offsets on.
"""

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from faust.types import TP, Message
from faust.types.tuples import ack_lock

from .delivery import Delivery
from .errors import LogBlockCorrupt, LogFailed, LogFormatMismatch
from .room import check_room

FIRST_PAUSE = 0.1  # seconds until the disk is tried again, doubled each time
LONGEST_PAUSE = 2.0


class Halting(Delivery):
    """Stops at the first write that fails, of the log or of a table, and starts anew once the disk can be written."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._halted = False
        self._stop_heeding: Callable[[], None] | None = None

    async def on_start(self) -> None:
        """Open the log, and heed its failure. Raises what opening a Log does."""
        await super().on_start()
        if self._stop_heeding is None:
            self._stop_heeding = self.embedded.on_failed(self._halt)

    async def on_shutdown(self) -> None:
        """Let go of the log."""
        if self._stop_heeding is not None:
            self._stop_heeding()
            self._stop_heeding = None
        await super().on_shutdown()

    @abstractmethod
    async def _rebalance(self, topics: Iterable[str]) -> None: ...

    def on_failed_write(self, path: Path, error: Exception) -> None:
        """Something else that the records are applied to cannot be written: halt as if it were the log."""
        self.embedded.fail(LogFailed(path, error))

    def resume_flow(self) -> None:
        """Allow delivery, unless nothing can be written."""
        if not self._halted:
            super().resume_flow()

    def ack(self, message: Message) -> bool:
        """Count a message as done, unless it is delivered again, or will be."""
        if not self._halted and message.generation_id == self.app.consumer_generation_id:
            return super().ack(message)
        return False

    async def _commit_tps(self, tps: Iterable[TP], start_new_transaction: bool) -> bool:
        if self._halted:
            return False
        try:
            return await super()._commit_tps(tps, start_new_transaction)
        except LogFailed:
            return False

    def _halt(self, failure: LogFailed) -> None:
        self._halted = True
        self._void_messages()
        self.stop_flow()
        self.app.flow_control.suspend()
        self.app.flow_control.clear()
        self.app.on_halt(failure)
        self.add_future(self._go_on())

    def _void_messages(self) -> None:
        # Whoever is at work on one of these works in vain. Faust's compiled streams count an ack without asking us,
        # unless the message has been acked.
        with ack_lock:
            for message in list(self._unacked_messages):
                message.acked = True
            self._unacked_messages.clear()

    async def _go_on(self) -> None:
        pause = FIRST_PAUSE
        while True:
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            try:
                await asyncio.to_thread(check_room, self._folders())
                await self._reopen_tables()
                await self.app._stop_fetcher()  # what is being delivered is of the past
                await self.embedded.reopen()
            except (LogBlockCorrupt, LogFormatMismatch) as error:
                self.app.on_hopeless(str(error))
            except Exception as error:  # rocksdict raises bare Exception
                self.log.warning("still halted: %s", error)
            else:
                break
        # From here to the start of the rebalance nobody else has a turn: at no time does the worker look ready.
        self.log.warning("the disk can be written again: records come again from the committed offsets on")
        self._halted = False
        if self._assigned:  # else the first assignment is still to come
            await self._rebalance({tp.topic for tp in self._assigned})

    def _folders(self) -> set[Path]:
        return {self.embedded.path, *(Path(table.data.path) for table in self.app.tables.values())}

    async def _reopen_tables(self) -> None:
        recovery = self.app.tables.recovery
        for table in self.app.tables.values():
            tps = {tp for tp in self._assigned if tp.topic == table.changelog_topic.get_topic_name()}
            table.data.revoke_partitions(table, tps)
            for tp in tps:
                recovery.revoke(tp)
                table.data._db_for_partition(tp.partition)
                await asyncio.sleep(0)
