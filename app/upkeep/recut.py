"""Moving records to another number of partitions: every call with its tasks and scores to the partition that owns it.

Calls and scorers go by their key, headers of requests by theirs, and controls to every partition. A chunk holds calls
of one partition, so it is cut into one chunk for each new partition of its calls, numbered anew in its request; what
events say of places in the old chunk, they then say of those in the new ones. Each record is cut by itself and none are
joined: rows take in one record of the log at a time, so that what was told apart by its position stays so.

Memory holds the headers of all requests, and for each chunk where its calls went: 6 bytes a call.
"""

from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from typing import NamedTuple, TypeVar

from app import ids
from app.client.errors import CommandError
from app.embedded.record import Record
from app.events import (
    OfChunk,
    RequestAccepted,
    ScoreEvent,
    ScoreEvents,
    ScoreRequested,
    Target,
    TasksCancelled,
    TasksReused,
    decode_control,
    decode_request,
    decode_score_events,
)

E = TypeVar("E")


class Cut(NamedTuple):
    """Where the calls of a chunk went: by call its new partition and index, by new partition the new chunk's number."""

    partitions: "array[int]"
    indices: "array[int]"
    numbers: Mapping[int, int]


class Recut:
    """The records of a log for `partitions` partitions. `by_topic` names what is done for each topic."""

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._cuts: dict[tuple[int, str, int], Cut] = {}  # old partition, request id, old number
        self._chunks: Counter[str] = Counter()  # new chunks so far, by request id
        self.by_topic: Mapping[str, Callable[[Iterable[Record]], Iterator[Record]]] = {
            "calls": self._by_key,
            "scorers": self._by_key,
            "score-requests": self._requests,
            "controls": self._controls,
            "score-events": self._events,
            "weave": self._by_key,
        }

    def apply(self, records: Iterable[Record]) -> Iterator[Record]:
        """`records`, topic by topic and in order, in their new partitions; offsets mean nothing any more.

        Raises:
            CommandError: an event names a chunk that was not among the records.
        """
        for topic, group in groupby(records, lambda record: record.topic):
            yield from self.by_topic[topic](group)

    def _by_key(self, records: Iterable[Record]) -> Iterator[Record]:
        for record in records:
            yield record._replace(partition=self._owner(record))

    def _owner(self, record: Record) -> int:
        if record.key is None:  # nothing of ours: it was a dead letter, and will be one again
            return record.partition % self._partitions
        return ids.partition_of(record.key, self._partitions)

    def _partition_of(self, project_id: str, call_id: str) -> int:
        return ids.partition_of(ids.call_key(project_id, call_id), self._partitions)

    # --- requests ---

    def _requests(self, records: Iterable[Record]) -> Iterator[Record]:
        headers: list[tuple[Record, RequestAccepted]] = []
        for record in records:
            event = _decoded(record, decode_request)
            if isinstance(event, ScoreRequested):
                yield from self._chunk(record, event)
            elif isinstance(event, RequestAccepted):
                headers.append((record, event))  # written last, and only then it is known how many chunks there are
            else:
                yield record._replace(partition=self._owner(record))
        for record, header in headers:
            counted = header.replace(chunks=self._chunks[header.request_id])
            yield record._replace(partition=self._owner(record), value=counted.encode())

    def _chunk(self, record: Record, event: ScoreRequested) -> Iterator[Record]:
        where = (record.partition, event.request_id, event.chunk)
        if where in self._cuts:
            return  # the first one counts
        calls: defaultdict[int, list[str]] = defaultdict(list)
        sampled_out: defaultdict[int, list[str]] = defaultdict(list)
        for call_id in () if event.rule is None else event.rule.sampled_out:
            sampled_out[self._partition_of(event.project_id, call_id)].append(call_id)
        partitions, indices = array("H"), array("I")
        for call_id in event.call_ids:
            partition = self._partition_of(event.project_id, call_id)
            partitions.append(partition)
            indices.append(len(calls[partition]))
            calls[partition].append(call_id)
        numbers = {}
        for partition in {**calls, **sampled_out}:
            number = numbers[partition] = self._number(event, partition)
            rule = event.rule and event.rule.replace(sampled_out=sampled_out[partition])
            chunk = event.replace(chunk=number, call_ids=calls[partition], rule=rule)
            key = ids.chunk_key(event.request_id, number)
            yield record._replace(partition=partition, key=key, value=chunk.encode())
        self._cuts[where] = Cut(partitions, indices, numbers)

    def _number(self, event: ScoreRequested, partition: int) -> int:
        """The number of the next chunk of a request: of a rule's, one of those that `agents/rules` gives out there."""
        of = event.request_id if event.rule is None else f"{event.request_id} {partition}"
        number = self._chunks[of]
        self._chunks[of] += 1
        return number if event.rule is None else number * self._partitions + partition

    # --- controls ---

    def _controls(self, records: Iterable[Record]) -> Iterator[Record]:
        """Of each control a copy in every new partition, in the order in which the old ones tell of them first."""
        known: set[str] = set()
        for record in records:
            event = _decoded(record, decode_control)
            if event is None:
                yield record._replace(partition=record.partition % self._partitions)
            elif event.control_id not in known:
                known.add(event.control_id)
                for partition in range(self._partitions):
                    yield record._replace(partition=partition)

    # --- events ---

    def _events(self, records: Iterable[Record]) -> Iterator[Record]:
        for record in records:
            batch = _decoded(record, decode_score_events)
            if batch is None:
                yield record._replace(partition=self._owner(record))
                continue
            moved: defaultdict[int, list[bytes]] = defaultdict(list)
            for event in batch.events:
                for partition, cut in self._event(record, event):
                    moved[partition].append(cut.encode())
            for partition, events in moved.items():
                yield record._replace(partition=partition, value=ScoreEvents.join(events))

    def _event(self, record: Record, event: ScoreEvent) -> Iterator[tuple[int, ScoreEvent]]:
        if isinstance(event, OfChunk):
            yield from self._of_chunk(record, event)
            return
        places = {
            name: [self._target(record, target) for target in getattr(event, name)]
            for name in ("targets", "withdrawn")
            if hasattr(event, name)
        }
        yield self._partition_of(event.project_id, event.call_id), event.replace(**places)

    def _of_chunk(self, record: Record, event: OfChunk) -> Iterator[tuple[int, OfChunk]]:
        cut = self._cut(record, event.request_id, event.chunk)
        named = event.calls if isinstance(event.calls, list) else None  # else all of the chunk's
        calls: defaultdict[int, list[int]] = defaultdict(list)
        for call in range(len(cut.partitions)) if named is None else named:
            calls[cut.partitions[call]].append(cut.indices[call])
        # A control is carried out once in each chunk, also where it meets no call.
        for partition in calls if isinstance(event, TasksReused) else cut.numbers:
            indices = calls[partition]
            moved = len(indices) if isinstance(event, TasksCancelled) else indices if named is not None else None
            yield partition, event.replace(chunk=cut.numbers[partition], calls=moved)

    def _target(self, record: Record, target: Target) -> Target:
        cut = self._cut(record, target.request_id, target.chunk)
        return target._replace(chunk=cut.numbers[cut.partitions[target.call]], call=cut.indices[target.call])

    def _cut(self, record: Record, request_id: str, chunk: int) -> Cut:
        try:
            return self._cuts[record.partition, request_id, chunk]
        except KeyError:
            raise CommandError(
                f"{record.topic}/{record.partition}@{record.offset} names chunk {chunk} of request {request_id}, "
                "which is not in the log. Import it without changing the number of partitions."
            ) from None


def _decoded(record: Record, decode: Callable[[bytes], E]) -> E | None:
    """None for what no agent can decode either: it was a dead letter, and will be one again."""
    try:
        return decode(record.value or b"")
    except (ValueError, RecursionError):
        return None
