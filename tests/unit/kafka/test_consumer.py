"""Records from Kafka that cannot be delivered now are fetched again, and never skipped."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from app.kafka.consumer import Consumer

STREAM, CHANGELOG = TP("calls", 0), TP("callscore-calls-changelog", 0)
RECORDS = [SimpleNamespace(offset=offset) for offset in range(5, 8)]


class Fetched:
    """A consumer whose next fetch brings three records of a stream and of a changelog; `during` happens meanwhile."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, active: set[TP]) -> None:
        self.positions = dict.fromkeys((STREAM, CHANGELOG), 5)
        self.recovered: list[TP] = []
        self.during: Callable[[], object] = lambda: None
        self.app = SimpleNamespace(
            consumer_generation_id=3,
            tables=SimpleNamespace(recovery=SimpleNamespace(apply=lambda tp, _: self.recovered.append(tp))),
        )
        consumer: Any = object.__new__(Consumer)
        self.consumer = consumer
        consumer.app = self.app
        consumer.flow_active = True
        consumer._buffered_partitions = set()
        consumer._thread = SimpleNamespace(_ensure_consumer=lambda: self)
        monkeypatch.setattr(Consumer, "_get_active_partitions", lambda _: active)
        monkeypatch.setattr(Consumer, "_is_changelog_tp", lambda _, tp: tp == CHANGELOG)

        async def getmany(*_: object) -> dict[TP, list[Any]]:
            self.positions.update(dict.fromkeys(self.positions, 8))
            self.during()
            return {STREAM: RECORDS, CHANGELOG: RECORDS}

        monkeypatch.setattr(driver.Consumer, "_getmany", getmany)

    async def fetch(self) -> set[TP]:
        return set(await self.consumer._getmany(set(), 1.0))

    # The parts of aiokafka's consumer that are used.

    @property
    def _subscription(self) -> Any:
        def state(tp: TP) -> Any:
            return SimpleNamespace(has_valid_position=True, position=self.positions[tp])

        return SimpleNamespace(subscription=SimpleNamespace(assignment=SimpleNamespace(state_value=state)))

    def seek(self, tp: TP, offset: int) -> None:
        self.positions[tp] = offset


async def test_what_is_wanted_is_delivered_or_recovered(monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = Fetched(monkeypatch, {STREAM, CHANGELOG})
    assert await fetched.fetch() == {STREAM}
    assert fetched.recovered == [CHANGELOG]
    assert fetched.positions == {STREAM: 8, CHANGELOG: 8}


async def test_what_comes_after_a_rebalance_from_a_fetch_before_it_is_fetched_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fetched = Fetched(monkeypatch, {STREAM, CHANGELOG})
    fetched.during = lambda: setattr(fetched.app, "consumer_generation_id", 4)
    assert await fetched.fetch() == set()
    assert fetched.recovered == []
    assert fetched.positions == {STREAM: 5, CHANGELOG: 5}


async def test_what_comes_of_a_partition_that_is_paused_is_fetched_again(monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = Fetched(monkeypatch, set())
    assert await fetched.fetch() == set()
    assert fetched.positions == {STREAM: 5, CHANGELOG: 5}


async def test_a_partition_that_was_sought_meanwhile_stays_where_it_was_sought(monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = Fetched(monkeypatch, set())
    fetched.during = lambda: fetched.seek(STREAM, 2)
    await fetched.fetch()
    assert fetched.positions[STREAM] == 2


async def test_what_waits_for_room_in_its_stream_is_delivered(monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = Fetched(monkeypatch, set())
    fetched.consumer._buffered_partitions.add(STREAM)
    assert await fetched.fetch() == {STREAM}
    assert fetched.positions[STREAM] == 8


async def test_who_asks_a_stopped_consumer_for_the_end_of_a_partition_gets_an_error_of_kafka() -> None:
    consumer: Any = object.__new__(Consumer)
    consumer._offset_client = None
    with pytest.raises(KafkaError):
        await consumer.highwaters(STREAM)


@given(st.permutations(range(10, 22)), st.sets(st.integers(0, 11)))
def test_commits_pass_all_that_is_done_and_nothing_that_is_not_in_whatever_order_it_is_acknowledged(
    order: list[int], commits: set[int]
) -> None:
    consumer: Any = object.__new__(Consumer)
    messages = {offset: SimpleNamespace(tp=STREAM, offset=offset) for offset in order}
    consumer._unacked_messages = list(messages.values())
    consumer._acked, consumer._acked_index, consumer._acked_before = {STREAM: []}, {STREAM: set()}, {}
    committed = 10
    for step, offset in enumerate(order):
        consumer._unacked_messages.remove(messages[offset])
        consumer._acked[STREAM].append(offset)
        consumer._acked_index[STREAM].add(offset)
        if step in commits or step == len(order) - 1:
            new = consumer._committable(STREAM)
            first = min((message.offset for message in consumer._unacked_messages), default=22)
            assert new == (first if first > committed else None)
            committed = new or committed
            assert consumer._committable(STREAM) is None  # until there is something new
            assert len(consumer._acked[STREAM]) <= 1
            assert set(consumer._acked[STREAM]) == consumer._acked_index[STREAM]
