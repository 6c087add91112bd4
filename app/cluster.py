"""Who owns a key; asking its owner, or every partition.

A query is a function of (partition, *arguments) that reads the tables of that partition and returns plain JSON
values. Queries run where the partition is; a view never reads a table any other way.
"""

import asyncio
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from faust.types import TP

from app import topics
from app.faust_app import app
from app.positions import positions

P = ParamSpec("P")
R = TypeVar("R")
Query = Callable[Concatenate[int, P], R]


class Unavailable(Exception):
    """The tables cannot be asked right now; the message says why. Ask again after `retry_after` seconds."""

    def __init__(self, reason: str, retry_after: int = 1) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


def check_ready() -> None:
    """Return if the tables of this worker can answer.

    Raises:
        Unavailable: while they are being recovered, or the log has failed.
    """
    if failure := getattr(app.producer, "failed", None):
        raise Unavailable(f"the log has failed: {failure}")
    if app.unassigned or app.rebalancing or not app.tables.actives_ready:
        raise Unavailable("the tables are being recovered")


async def owner(query: Query[P, R], key: bytes, *args: P.args, **kwargs: P.kwargs) -> R:
    """`query` on the partition that owns a partitioning key.

    Raises:
        Unavailable: if the owner cannot answer now.
    """
    check_ready()
    return query(topics.partition_of(key), *args, **kwargs)


async def everywhere(query: Query[P, R], *args: P.args, **kwargs: P.kwargs) -> list[R]:
    """`query` on every partition, the results in partition order.

    Raises:
        Unavailable: if a partition cannot be asked now.
    """
    answers = []
    for partition in range(topics.partitions()):
        check_ready()
        answers.append(query(partition, *args, **kwargs))
        await asyncio.sleep(0)  # one partition at a time, so that the event loop stays free
    return answers


async def caught_up(topic: topics.Topic, key: bytes) -> None:
    """Wait until everything that the owner's partition of `topic` holds now is in the tables.

    So that what was written before is seen by who asks after.
    """
    check_ready()
    partition = topics.partition_of(key)
    await positions.reached(topic.name, partition, end_offset(topic.name, partition) - 1)


async def all_caught_up(topic: topics.Topic) -> None:
    """Wait until everything that `topic` holds now is in the tables, in every partition."""
    check_ready()
    ends = [end_offset(topic.name, partition) for partition in range(topics.partitions())]
    for partition, end in enumerate(ends):
        await positions.reached(topic.name, partition, end - 1)


def end_offset(topic: str, partition: int) -> int:
    """The offset that the partition's next record will get."""
    return int(app.consumer.highwater(TP(topic, partition)))
