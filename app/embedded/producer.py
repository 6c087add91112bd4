"""Faust's producer on the embedded log: appends directly, so that no record is ever between Faust and the log."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NoReturn

from faust.transport.producer import Producer as BaseProducer
from faust.transport.producer import ProducerBuffer
from mode.utils.times import want_seconds

from .errors import LogFailed
from .record import Appended, Headers
from .shared import UsesLog

BACKLOG_MAX = 10_000


class Buffer(ProducerBuffer):
    """Always empty. Faust's conductor waits for it before it delivers a message."""

    producer: "Producer"

    async def wait_until_ebb(self) -> None:
        """Hold the streams while too many records wait for the disk."""
        if self.producer.backlog > BACKLOG_MAX:
            await self.producer.flush()


class Producer(UsesLog, BaseProducer):
    """Appends to the log named by the transport's path. Appends raise LogFailed while it cannot be written."""

    one_order = True  # all partitions share one write-ahead log

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.buffer = Buffer(loop=self.loop, beacon=self.beacon)
        self.buffer.app = self.app
        self.buffer.producer = self

    @property
    def failed(self) -> LogFailed | None:
        """Why the log takes no more writes, None while it does or is not open."""
        return None if self._embedded is None else self._embedded.failed

    @property
    def backlog(self) -> int:
        """Number of records that are not durable yet."""
        return self.embedded.backlog

    def append(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers = (),
        *,
        owed: bool = False,
    ) -> "asyncio.Future[Appended]":
        """Append a record to a declared topic; the future resolves once it is durable.

        `owed` marks an effect of a record that was consumed. Here it makes no difference: once an append has failed
        nothing is committed, and what was consumed since the last commit is delivered again.

        Raises:
            UnknownTopic: no such topic or partition.
            LogFailed, LogClosed: the log takes no more writes. The future raises LogFailed if this one was not written.
        """
        return self.embedded.append(topic, partition, key, value, None, headers)

    def append_all(
        self, topic: str, partition: int, records: Sequence[tuple[bytes, bytes | None]]
    ) -> "asyncio.Future[Appended]":
        """Append keys and values that are `owed`; the future is that of the last. Raises as `append`."""
        return self.embedded.append_all(topic, partition, records)

    def push(self) -> None:
        """Write what was appended now instead of in the next turn of the event loop."""
        if self._embedded is not None:
            self._embedded.push()

    async def flush(self) -> None:
        """Wait until everything appended is durable or the log has failed, after which nothing is committed."""
        if self._embedded is not None:
            with suppress(LogFailed):
                await self._embedded.flush()

    async def create_topic(
        self,
        topic: str,
        partitions: int,
        replication: int,
        *,
        config: Mapping[str, Any] | None = None,
        timeout: Any = 30.0,  # noqa: ASYNC109
        retention: Any = None,
        compacting: bool | None = None,
        deleting: bool | None = None,
        ensure_created: bool = False,
    ) -> None:
        """Declare a topic. Raises PartitionCountMismatch if it has another count, InvalidTopic for a bad name."""
        settings = dict(config or {})
        policy = [name for name, wanted in (("compact", compacting), ("delete", deleting)) if wanted]
        if policy:
            settings["cleanup.policy"] = ",".join(policy)
        if retention:
            settings["retention.ms"] = int(want_seconds(retention) * 1000)
        self.embedded.create_topic(topic, partitions, settings)

    def send(self, *args: Any, **options: Any) -> NoReturn:
        """Raise NotImplementedError: Faust's own publishing would choose a partition that does not own the key."""
        raise NotImplementedError("use append, which names the partition")

    send_and_wait = send_soon = key_partition = send
