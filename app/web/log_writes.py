"""Writing to the log before answering: a 200 means durable."""

import asyncio
import logging
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from app import topics
from app.slices import Turns
from app.web.catching_up import seen
from app.web.errors import unavailable

logger = logging.getLogger(__name__)

_ACKNOWLEDGE_SECONDS = 25.0  # below the 30 s after which the Weave SDK gives up


@dataclass(frozen=True, slots=True)
class Writing:
    """A record that is being written; `acknowledged` is done once it is durable."""

    topic: str
    partition: int
    acknowledged: "asyncio.Future[Any]"


# How many records were not acknowledged in time, but still may be, by topic and partition.
_late: Counter[tuple[str, int]] = Counter()


def check(topic: topics.Topic, partitions: Iterable[int]) -> None:
    """Return if none of these partitions has a record that was not acknowledged in time.

    Called before anything is written, so that later requests need not wait too, and nothing of them is half written.

    Raises:
        ApiError: 503, one has.
    """
    if any(_late[topic.name, partition] for partition in partitions):
        raise unavailable(
            "The log cannot take this now; nothing has been accepted, send it again "
            f"(it has not acknowledged a record for {_ACKNOWLEDGE_SECONDS:g} s)"
        )


def append(topic: topics.Topic, key: bytes, value: bytes, partition: int | None = None) -> Writing:
    """As `Topic.append`, but an error that it raises at once becomes the future's, so that errors are in one place."""
    if partition is None:
        partition = topics.partition_of(key)
    try:
        future = topic.append(key, value, partition)
    except Exception as error:
        future = asyncio.get_running_loop().create_future()
        future.set_exception(error)
    return Writing(topic.name, partition, future)


def refused(written: Iterable[Writing]) -> bool:
    """Whether the log has already refused one of these records, so that `durable` of them would raise.

    For callers that append in several turns: a log that refused records for a moment may take the next ones.
    """
    return any(one.acknowledged.done() and _failure(one.acknowledged) is not None for one in written)


async def durable(written: Iterable[Writing]) -> None:
    """Return once the log has acknowledged all of these records.

    Raises:
        ApiError: 503, the log cannot take one of them, or is too slow. Some may be in the log, which does no harm.
    """
    waiting = {writing.acknowledged: writing for writing in written}
    if not waiting:
        return
    done, pending = await asyncio.wait(waiting, timeout=_ACKNOWLEDGE_SECONDS)
    failures = [error for future in done if (error := _failure(future)) is not None]
    if failures:
        logger.error("the log refused %d of %d records: %r", len(failures), len(waiting), failures[0])
    if pending:
        late = "the log has not acknowledged %d of %d records within %g s"
        logger.error(late, len(pending), len(waiting), _ACKNOWLEDGE_SECONDS)
        for future in pending:
            _follow(waiting[future])
    if failures or pending:
        reason = failures[0] if failures else "it is slow"
        raise unavailable(f"The log cannot take this now; nothing has been accepted, send it again ({reason})")


async def write(topic: topics.Topic, records: Collection[tuple[bytes, bytes]]) -> None:
    """Write records, each a key and a value; return once all are durable.

    Raises:
        ApiError: 503, the log cannot take them. Nothing was written if one of their partitions is late, as in `check`.
    """
    check(topic, {topics.partition_of(key) for key, _ in records})
    turns = Turns()
    written = []
    for key, value in records:
        written.append(append(topic, key, value))
        await turns.breathe()
    await durable(written)


async def write_seen(topic: topics.Topic, key: bytes, value: bytes) -> None:
    """Write a record; return once it is in the tables of the owner of its key. Raises as `write` and `seen`."""
    await write(topic, [(key, value)])
    await seen(topic, key)


async def everywhere(topic: topics.Topic, key: bytes, value: bytes) -> list[int]:
    """Write a copy of a record to every partition; returns their offsets, once all are durable. Raises as `durable`."""
    partitions = range(topics.partitions())
    check(topic, partitions)
    copies = [append(topic, key, value, partition) for partition in partitions]
    await durable(copies)
    return [copy.acknowledged.result().offset for copy in copies]


def _failure(future: "asyncio.Future[Any]") -> BaseException | None:
    return asyncio.CancelledError() if future.cancelled() else future.exception()


def _follow(late: Writing) -> None:
    """Count a record as late until the log has acknowledged or refused it."""
    where = (late.topic, late.partition)
    _late[where] += 1

    def settled(future: "asyncio.Future[Any]") -> None:
        _late[where] -= 1
        if (error := _failure(future)) is not None:
            logger.error("the log refused a record after its request had been answered: %r", error)

    late.acknowledged.add_done_callback(settled)
