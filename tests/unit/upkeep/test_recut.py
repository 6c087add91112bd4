"""Records cut for another number of partitions say the same, each call's in the partition that owns it."""

from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import ids
from app.client.errors import CommandError
from app.embedded.record import Record
from app.events import (
    OfChunk,
    RequestAccepted,
    RequestCancelled,
    ScoreEvents,
    ScoreRequested,
    ScoreSucceeded,
    Target,
    TaskJoined,
    TasksCancelled,
    TasksReopened,
    TasksReused,
    decode_request,
    decode_score_events,
)
from app.upkeep import topic_names
from app.upkeep.recut import Recut

PROJECT = "acme/recut"
Place = tuple[str, str, int]  # request, call, scorer


def a_log(partitions: int, requests: list[list[int]], chunk_calls: int = 4) -> list[Record]:
    """Requests for calls by number, all of them scored: the first request runs each call, later ones reuse or join."""
    chunks: list[tuple[int, ScoreRequested]] = []
    records: list[Record] = []
    for number, calls in enumerate(requests):
        by_partition = defaultdict(list)
        for call in dict.fromkeys(calls):
            by_partition[owner(f"call-{call}", partitions)].append(f"call-{call}")
        cut = [
            (partition, its[begin : begin + chunk_calls])
            for partition, its in by_partition.items()
            for begin in range(0, len(its), chunk_calls)
        ]
        for chunk, (partition, its) in enumerate(cut):
            common: dict[str, Any] = {
                "request_id": f"r{number}",
                "project_id": PROJECT,
                "scorer_refs": ["a", "b"],
                "requested_at": 1.5,
            }
            event = ScoreRequested(**common, chunk=chunk, call_ids=its)
            chunks.append((partition, event))
            records.append(record("score-requests", partition, ids.chunk_key(f"r{number}", chunk), event.encode()))
        header = RequestAccepted(**common, calls=len(set(calls)), chunks=len(cut), requested_by=None)
        where = ids.partition_of(b"r%d" % number, partitions)
        records.append(record("score-requests", where, b"r%d" % number, header.encode()))
    for partition, event in chunks:
        joined = [event.request_id != "r0"] * len(event.call_ids)
        task: dict[str, Any] = {"project_id": PROJECT, "scorer_ref": "a", "at": 2.0}
        events = []
        for index, (call_id, join) in enumerate(zip(event.call_ids, joined, strict=True)):
            task["call_id"], task["targets"] = call_id, [Target(event.request_id, event.chunk, 0, index)]
            succeeded = ScoreSucceeded(**task, output={"score": 10**30, "call": call_id})
            events.append((TaskJoined(**task) if join else succeeded).encode())
        calls_ = list(range(len(event.call_ids)))
        reused = TasksReused(request_id=event.request_id, chunk=event.chunk, scorer=1, calls=calls_, at=3.0)
        of_chunk: dict[str, Any] = {"request_id": event.request_id, "chunk": event.chunk, "scorer": 1, "at": 4.0}
        cancelled = TasksCancelled(**of_chunk, calls=len(calls_), control=1)
        reopened = TasksReopened(**of_chunk, statuses=["cancelled"], calls=calls_[::2], control=2)
        all_reopened = TasksReopened(**of_chunk, statuses=["failed"], calls=None, control=3)
        encoded = [one.encode() for one in (reused, cancelled, reopened, all_reopened)]
        records.append(record("score-events", partition, None, ScoreEvents.join([*events, *encoded])))
    return sorted(records, key=lambda found: (found.topic != "score-requests", found.partition))


def record(topic: str, partition: int, key: bytes | None, value: bytes) -> Record:
    return Record(topic, partition, 0, 7, key, value, [])


def owner(call_id: str, partitions: int) -> int:
    return ids.partition_of(ids.call_key(PROJECT, call_id), partitions)


def said(records: list[Record], partitions: int) -> dict[Place, list[str]]:
    """What events tell of each place, in order; each record must lie where it belongs, and chunks be counted."""
    chunks: dict[tuple[int, str, int], list[str]] = {}
    numbers: dict[str, list[int]] = defaultdict(list)
    counted: dict[str, int] = {}
    carried_out: dict[tuple[int, str, int], list[int]] = defaultdict(list)
    told: dict[Place, list[str]] = defaultdict(list)
    for found in records:
        assert found.timestamp == 7
        if found.topic == "score-requests":
            event = decode_request(found.value or b"")
            if isinstance(event, ScoreRequested):
                assert {owner(call, partitions) for call in event.call_ids} == {found.partition}
                assert found.key == ids.chunk_key(event.request_id, event.chunk)
                chunks[found.partition, event.request_id, event.chunk] = event.call_ids
                numbers[event.request_id].append(event.chunk)
            elif isinstance(event, RequestAccepted):
                assert found.partition == ids.partition_of(found.key or b"", partitions)
                assert event.request_id not in counted
                counted[event.request_id] = event.chunks
            continue
        for one in decode_score_events(found.value or b"").events:
            if isinstance(one, OfChunk):
                names_ = chunks[found.partition, one.request_id, one.chunk]
                if isinstance(one, TasksCancelled):
                    assert one.calls == len(names_)
                if not isinstance(one, TasksReused):
                    carried_out[found.partition, one.request_id, one.chunk].append(one.control)
                calls = one.calls if isinstance(one.calls, list) else range(len(names_))
                for call in calls:
                    told[one.request_id, names_[call], one.scorer].append(type(one).__name__)
                continue
            assert owner(one.call_id, partitions) == found.partition
            for target in one.targets:
                assert chunks[found.partition, target.request_id, target.chunk][target.call] == one.call_id
                told[target.request_id, one.call_id, target.scorer].append(one.replace(targets=[]).encode().decode())
    assert counted == {request: len(found) for request, found in numbers.items()}
    assert all(sorted(found) == list(range(len(found))) for found in numbers.values())
    assert carried_out == {where: [1, 2, 3] for where in chunks}  # also where a control names no call
    return dict(told)


@given(
    st.lists(st.lists(st.integers(0, 40), min_size=1, max_size=30), min_size=1, max_size=4),
    st.integers(1, 9),
    st.integers(1, 9),
)
def test_every_place_is_told_the_same_in_the_same_order(requests: list[list[int]], before: int, after: int) -> None:
    old = a_log(before, requests)
    new = list(Recut(after).apply(old))
    assert said(new, after) == said(old, before)


def test_every_topic_that_agents_read_is_moved() -> None:
    assert set(Recut(3).by_topic) == topic_names.IMPORTED


def test_a_chunk_that_was_written_twice_counts_once() -> None:
    old = a_log(2, [[1, 2, 3, 4, 5, 6]])
    first = next(found for found in old if found.key == ids.chunk_key("r0", 0))
    new = list(Recut(3).apply([first, *old]))
    assert said(new, 3) == said(old, 2)


def test_events_of_an_unknown_chunk_are_refused() -> None:
    events = [found for found in a_log(2, [[1, 2, 3]]) if found.topic == "score-events"]
    with pytest.raises(CommandError, match=r"score-events/\d@0 names chunk \d of request r0, which is not in the log"):
        list(Recut(3).apply(events))


@pytest.mark.parametrize("topic", ["calls", "controls", "score-requests", "score-events"])
@pytest.mark.parametrize("key", [None, b"key"])
@pytest.mark.parametrize("value", [None, b"garbage", b"[" * 5_000])
def test_what_no_agent_can_decode_is_kept_to_become_a_dead_letter_again(
    topic: str, key: bytes | None, value: bytes | None
) -> None:
    old = [record(topic, 7, key, b"")._replace(value=value)]
    [new] = Recut(3).apply(old)
    assert (new.topic, new.key, new.value) == (topic, key, value)
    assert new.partition < 3


def test_a_control_is_in_every_partition_once_in_the_order_in_which_it_was_asked() -> None:
    asked = [
        RequestCancelled(control_id=name, request_id="r", asked_by=None, asked_at=1.0).encode() for name in ("1", "2")
    ]
    old = [record("controls", partition, b"r", value) for partition in range(2) for value in asked]
    new = list(Recut(3).apply(old))
    for partition in range(3):
        assert [found.value for found in new if found.partition == partition] == asked
