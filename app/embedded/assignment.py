"""The assignment of a consumer group with one member, made by the app's own assignor as in a Kafka group."""

from collections.abc import Callable, Iterable
from typing import Any

from faust.types import TP

MEMBER = "embedded"


class _Cluster:
    """The cluster metadata that the assignor needs."""

    def __init__(self, partition_count: Callable[[str], int | None]) -> None:
        self._partition_count = partition_count

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        count = self._partition_count(topic)
        return None if count is None else set(range(count))


def assign(app: Any, topics: Iterable[str], partition_count: Callable[[str], int | None]) -> set[TP]:
    """Return every partition of `topics`, and tell the app's assignor, which tables and routing rely on."""
    assignor = app.assignor
    metadata = assignor.metadata(set(topics))
    assigned = assignor.assign(_Cluster(partition_count), {MEMBER: metadata})[MEMBER]
    assignor.on_assignment(assigned)
    return {TP(topic, partition) for topic, partitions in assigned.assignment for partition in partitions}
