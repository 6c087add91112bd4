"""Every topic of callscore.

All have the same number of partitions, so that a call, the tasks on it and their scores meet on one worker.
Views write records by `append`, agents by `send`. docs/architecture.md lists the key of each topic, its partition and
who writes it: a chunk of a request, for example, goes to the partition of its calls.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app import ids
from app.faust_app import app
from app.settings import get_settings


@dataclass(frozen=True, slots=True)
class Topic:
    """A primary topic: kept for ever. Everything else can be rebuilt from these."""

    name: str

    def channel(self) -> Any:
        """The Faust topic that an agent consumes: raw keys and values."""
        return app.topic(
            self.name,
            key_type=bytes,
            value_type=bytes,
            partitions=app.conf.topic_partitions,
            retention=-1,
            deleting=True,
            internal=True,
        )

    def append(self, key: bytes | None, value: bytes, partition: int | None = None) -> "asyncio.Future[Any]":
        """Write a record; the future resolves to its RecordMetadata once the log has acknowledged it durably.

        A record goes to the partition that owns its key, unless one is named.
        """
        if partition is None:
            assert key is not None, "a record without a key needs a partition"
            partition = partition_of(key)
        future: asyncio.Future[Any] = app.producer.append(self.name, partition, key, value)
        return future

    def send(
        self, key: bytes | None, value: bytes | None, partition: int, headers: Sequence[tuple[str, bytes]] = ()
    ) -> "asyncio.Future[Any]":
        """Write a record that is the effect of a consumed one, which is never committed if this cannot be written."""
        future: asyncio.Future[Any] = app.producer.append(self.name, partition, key, value, headers, owed=True)
        return future


def push() -> None:
    """Send written records to the log now, not only at the end of this turn."""
    app.producer.push()


def in_one_order() -> bool:
    """Whether a record is in the log only if all records appended before are, in all partitions."""
    return bool(app.producer.one_order)


def partitions() -> int:
    """How many partitions every topic has."""
    return int(app.conf.topic_partitions)


def partition_of(key: bytes) -> int:
    """The partition that owns a partitioning key."""
    return ids.partition_of(key, partitions())


_prefix = get_settings().kafka_prefix

calls = Topic(f"{_prefix}calls")
scorers = Topic(f"{_prefix}scorers")
score_requests = Topic(f"{_prefix}score-requests")
controls = Topic(f"{_prefix}controls")
score_events = Topic(f"{_prefix}score-events")
dead_letters = Topic(f"{_prefix}dead-letters")
weave = Topic(f"{_prefix}weave")

ALL = (calls, scorers, score_requests, controls, score_events, dead_letters, weave)


def plain(name: str) -> str:
    """A topic's name without the prefix of the settings."""
    return name.removeprefix(_prefix)


NAMES = tuple(plain(topic.name) for topic in ALL)


def named(name: str) -> Topic | None:
    """The topic with a name, if there is one."""
    return next((topic for topic in ALL if topic.name == name), None)
