"""A topic and its partitions, as they are held in memory and found again on open."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from rocksdict import Rdict

from . import keys
from .record import TopicPartition
from .store import scan


class Partition:
    """One partition in memory. `next` is the offset of the next append, `end` the first one that cannot be read yet."""

    __slots__ = ("bounds_key", "end", "next", "number", "prefix", "start", "topic", "tp")

    def __init__(self, topic: str, topic_id: int, number: int, start: int, end: int) -> None:
        self.topic = topic
        self.number = number
        self.tp = TopicPartition(topic, number)
        self.prefix = keys.record_prefix(topic_id, number)
        self.bounds_key = keys.bounds_key(topic_id, number)
        self.start = start
        self.end = self.next = end


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


def _load_bounds(database: Rdict, topic_id: int, number: int) -> tuple[int, int]:
    """Return start and next offset: a record may be newer than the stored end, or cleaned away before it."""
    stored = database.get(keys.bounds_key(topic_id, number))
    start, end = (0, 0) if stored is None else keys.parse_bounds(stored)
    prefix = keys.record_prefix(topic_id, number)
    last = database.iter()
    last.seek_for_prev(prefix + b"\xff" * keys.OFFSET_SIZE)
    if last.valid() and last.key().startswith(prefix):
        end = max(end, keys.parse_offset(last.key()) + 1)
    return start, end
