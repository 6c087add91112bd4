"""A topic and its partitions in memory, and how they are loaded."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from rocksdict import Rdict

from . import keys
from .record import TopicPartition, glance
from .store import get, last_item, scan


class Partition:
    """One partition in memory. `next` is the offset of the next append, `end` the one after the last durable record.

    `timestamp` is the latest of its appends, in milliseconds; after loading, that of the last record.
    """

    __slots__ = ("bounds_key", "end", "next", "number", "prefix", "start", "timestamp", "topic", "tp")

    def __init__(self, topic: str, topic_id: int, number: int, start: int, end: int, timestamp: int = 0) -> None:
        self.topic = topic
        self.number = number
        self.tp = TopicPartition(topic, number)
        self.prefix = keys.record_prefix(topic_id, number)
        self.bounds_key = keys.bounds_key(topic_id, number)
        self.start = start
        self.end = self.next = end
        self.timestamp = timestamp


class Topic(NamedTuple):
    """A topic as it was declared."""

    id: int
    config: Mapping[str, Any]
    partitions: list[Partition]


def load_topics(database: Rdict) -> dict[str, Topic]:
    """Return every topic in the database by name, with the next offset of each partition."""
    topics: dict[str, Topic] = {}
    for key, value in scan(database, keys.TOPIC, keys.TOPIC):
        name, topic_id, count, config = keys.parse_topic(key, value)
        partitions = [
            Partition(name, topic_id, number, *_load_bounds(database, topic_id, number)) for number in range(count)
        ]
        topics[name] = Topic(topic_id, config, partitions)
    return topics


def load_committed(database: Rdict, topics: Mapping[str, Topic]) -> dict[tuple[str, str, int], int]:
    """Return every committed offset in the database by (group, topic, partition)."""
    names = {topic.id: name for name, topic in topics.items()}
    committed: dict[tuple[str, str, int], int] = {}
    for key, value in scan(database, keys.COMMITTED, keys.COMMITTED):
        group, topic_id, number = keys.parse_committed(key)
        committed[group, names[topic_id], number] = keys.parse_offset(value)
    return committed


def _load_bounds(database: Rdict, topic_id: int, number: int) -> tuple[int, int, int]:
    """Return start and next offset, and the last timestamp.

    The last record may be behind the stored end, or have been cleaned away.
    """
    stored = get(database, keys.bounds_key(topic_id, number))
    start, end = (0, 0) if stored is None else keys.parse_bounds(stored)
    last = last_item(database, keys.record_prefix(topic_id, number), keys.OFFSET_SIZE)
    if last is None:
        return start, end, 0
    return start, max(end, keys.parse_offset(last[0]) + 1), glance(last[1])[2]
