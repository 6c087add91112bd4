"""Faust's producer on the embedded log: appends at once, so that nothing is ever between Faust and the log."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from faust.transport.producer import Producer as BaseProducer
from faust.transport.producer import ProducerBuffer
from faust.types import TP
from faust.types.tuples import FutureMessage, RecordMetadata
from mode.utils.times import want_seconds

from .errors import LogClosed, LogFailed, UnknownTopic
from .log import Log
from .partitioner import partition_for
from .record import Headers
from .shared import acquire, release

BACKLOG_MAX = 10_000


class Buffer(ProducerBuffer):
    """What Faust takes for the producer's buffer. It holds nothing: a message put is appended in the same call.

    Faust's own buffer sends from a task, and its flush gives up after 0.1 s: a commit could pass a changelog record.
    """

    producer: "Producer"

    def put(self, fut: FutureMessage) -> None:
        """Append the message; `fut` resolves once it is durable."""
        self.producer.append_message(fut)

    async def flush(self) -> None:
        """Wait until everything put is durable."""
        await self.producer.flush()

    async def wait_until_ebb(self) -> None:
        """Hold the streams while too much waits for the disk."""
        if self.producer.backlog > BACKLOG_MAX:
            await self.producer.flush()

    async def on_stop(self) -> None:
        """Do nothing: the producer flushes."""

    @property
    def size(self) -> int:
        """Number of messages waiting to be appended: none, ever."""
        return 0


class Producer(BaseProducer):
    """Appends to the log named by the transport's path. Appends raise LogFailed while it cannot be written."""

    one_order = True  # one write-ahead log for all partitions

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.buffer = Buffer(loop=self.loop, beacon=self.beacon)
        self.buffer.app = self.app
        self.buffer.producer = self
        self._embedded: Log | None = None
        self._round_robin: dict[str, int] = {}
        self._on_produce_message = self.app.on_produce_message.send

    @property
    def embedded(self) -> Log:
        """The open log. Raises LogClosed unless the producer is started."""
        if self._embedded is None:
            raise LogClosed(self.transport.path)
        return self._embedded

    @property
    def failed(self) -> LogFailed | None:
        """Why the log takes nothing more, None while it does (or is not open)."""
        return None if self._embedded is None else self._embedded.failed

    @property
    def backlog(self) -> int:
        """Number of records that are not durable yet."""
        return self.embedded.backlog

    async def on_start(self) -> None:
        """Open the log. Raises LogLocked, LogUnavailable or LogFormatMismatch."""
        if self._embedded is None:
            self._embedded = acquire(self.transport.path)
        await super().on_start()

    async def on_shutdown(self) -> None:
        """Make everything durable and let go of the log."""
        await super().on_shutdown()
        log, self._embedded = self._embedded, None
        if log is not None:
            await release(log)

    def append(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers = (),
        *,
        owed: bool = False,
    ) -> "asyncio.Future[RecordMetadata]":
        """Append a record to a declared topic; the future resolves once it is durable.

        `owed` says that it is an effect of a record that was consumed. Here that makes no difference: once one
        append has failed nothing is committed, and what was consumed since the last commit is delivered again.

        Raises:
            UnknownTopic: no such topic or partition.
            LogFailed, LogClosed: the log takes no more writes. The future raises LogFailed if this one was not written.
        """
        log = self._embedded
        if log is None:
            raise LogClosed(self.transport.path)
        return log.append(topic, partition, key, value, None, headers)

    def append_all(
        self, topic: str, partition: int, records: Sequence[tuple[bytes, bytes | None]]
    ) -> "asyncio.Future[RecordMetadata]":
        """Append keys and values that are `owed`; the future is that of the last. Raises as `append`."""
        return self.embedded.append_all(topic, partition, records)

    def push(self) -> None:
        """Write what was appended now, and not a round of the event loop later."""
        if self._embedded is not None:
            self._embedded.push()

    def append_message(self, fut: FutureMessage) -> None:
        """Append a message of Faust's; once it is durable `fut` resolves, and Faust's sensors and callbacks run."""
        message = fut.message
        channel = message.channel
        topic = message.topic or channel.get_topic_name()
        key, value = message.key, message.value
        state = self.app.sensors.on_send_initiated(
            self, topic, message=message, keysize=len(key or b""), valsize=len(value or b"")
        )
        appended = self._append(topic, key, value, message.partition, message.timestamp, message.headers)
        appended.add_done_callback(partial(channel._on_published, message=fut, state=state, producer=self))

    async def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        timestamp: float | None,
        headers: Any,
        *,
        transactional_id: str | None = None,
    ) -> "asyncio.Future[RecordMetadata]":
        """Append a record and return the future of its place in the log; a topic that is missing is created.

        `timestamp` is in seconds, None for now. Without a partition the key's is taken, or the next one in turn if
        there is no key.
        """
        return self._append(topic, key, value, partition, timestamp, headers)

    async def send_and_wait(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        timestamp: float | None,
        headers: Any,
        *,
        transactional_id: str | None = None,
    ) -> RecordMetadata:
        """Append a record and wait until it is durable."""
        return await self._append(topic, key, value, partition, timestamp, headers)

    async def flush(self) -> None:
        """Wait until everything appended is durable, or the log has failed: then nothing that needs it is committed."""
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

    def key_partition(self, topic: str, key: bytes | None) -> TP:
        """Return the partition of a key, the same as in Kafka; None takes the partitions in turn.

        Raises:
            UnknownTopic: the topic has not been declared.
        """
        count = self.embedded.partition_count(topic)
        if count is None:
            raise UnknownTopic(topic)
        return TP(topic, self._choose(topic, key, count))

    def supports_headers(self) -> bool:
        """Return True: records have headers."""
        return True

    def _append(
        self, topic: str, key: Any, value: Any, partition: int | None, timestamp: float | None, headers: Any
    ) -> "asyncio.Future[RecordMetadata]":
        log = self.embedded
        if isinstance(headers, Mapping):
            headers = list(headers.items())
        self._on_produce_message(key=key, value=value, partition=partition, timestamp=timestamp, headers=headers)
        count = log.partition_count(topic)
        if count is None:
            # Faust declares only its internal topics; with Kafka the broker would create the others.
            count = self.app.conf.topic_partitions
            log.create_topic(topic, count)
        if partition is None:
            partition = self._choose(topic, key, count)
        milliseconds = None if timestamp is None else int(timestamp * 1000)
        return log.append(topic, partition, key, value, milliseconds, headers or ())

    def _choose(self, topic: str, key: bytes | None, count: int) -> int:
        if key is not None:
            return partition_for(key, count)
        turn = self._round_robin.get(topic, 0)
        self._round_robin[topic] = turn + 1
        return turn % count
