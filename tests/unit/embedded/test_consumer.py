"""What the consumer of the embedded log commits, and from which partitions it delivers."""

import asyncio
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from faust.transport.consumer import Consumer as FaustConsumer
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from app.embedded.consumer import Consumer
from app.embedded.errors import LogFailed

STREAM, CHANGELOG = TP("calls", 0), TP("callscore-calls-changelog", 0)


@given(st.permutations(range(10, 22)), st.sets(st.integers(0, 11)))
def test_commits_pass_all_that_is_done_and_nothing_that_is_not_in_whatever_order_it_is_acknowledged(
    order: list[int], commits: set[int]
) -> None:
    committed: list[int] = []
    consumer: Any = object.__new__(Consumer)
    consumer.app = SimpleNamespace(
        conf=SimpleNamespace(id="group"), topics=SimpleNamespace(acks_enabled_for=lambda _: True)
    )
    consumer._embedded = SimpleNamespace(
        committed=lambda *_: committed[-1] if committed else None, earliest=lambda *_: 10
    )
    consumer._positions, consumer._in_flight = {STREAM: 22}, {STREAM: set(order)}
    consumer._acked, consumer._acked_index = {STREAM: []}, {STREAM: set()}
    for step, offset in enumerate(order):
        consumer._acked[STREAM].append(offset)
        consumer._acked_index[STREAM].add(offset)
        if step in commits or step == len(order) - 1:
            new = consumer._committable(STREAM)
            first = min(order[step + 1 :], default=22)
            assert new == (first if first > (committed or [10])[-1] else None)
            if new is not None:
                committed.append(new)
            assert consumer._committable(STREAM) is None  # until there is something new
            assert (consumer._acked[STREAM], consumer._acked_index[STREAM]) == ([], set())
    assert committed[-1] == 22


@pytest.fixture
def delivering(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A consumer that delivers, as after a recovery."""

    async def nothing(*_: object) -> None: ...

    monkeypatch.setattr(FaustConsumer, "on_partitions_revoked", nothing)
    monkeypatch.setattr(FaustConsumer, "on_partitions_assigned", nothing)
    monkeypatch.setattr(Consumer, "_is_changelog_tp", lambda _, tp: tp == CHANGELOG)
    consumer: Any = object.__new__(Consumer)
    consumer._holding, consumer._held, consumer._halted = False, set(), False
    consumer._active_partitions, consumer._paused_partitions, consumer._buffered_partitions = set(), set(), set()
    consumer._assigned, consumer._ready, consumer._acked, consumer._readable = set(), {}, {STREAM: []}, asyncio.Event()
    consumer.can_resume_flow, consumer.suspend_flow = asyncio.Event(), asyncio.Event()
    return consumer


async def test_at_every_rebalance_streams_wait_until_the_flow_is_resumed(delivering: Any) -> None:
    for rebalance in (delivering.on_partitions_revoked, delivering.on_partitions_assigned):
        for _ in range(2):
            await rebalance({STREAM})
            delivering.resume_partitions({STREAM, CHANGELOG})
            assert delivering._active_partitions == {CHANGELOG}
            delivering.resume_flow()
            assert delivering._active_partitions == {STREAM, CHANGELOG}
            delivering._active_partitions.clear()
    await delivering.on_partitions_revoked({STREAM})
    delivering.resume_partitions({STREAM})
    await delivering.on_partitions_assigned({CHANGELOG})
    delivering.resume_flow()
    assert delivering._active_partitions == set()


async def test_a_stream_that_has_room_again_is_not_delivered_while_its_partition_is_paused(delivering: Any) -> None:
    delivering.resume_partitions({STREAM})
    delivering._buffered_partitions.add(STREAM)
    delivering.pause_partitions({STREAM})
    delivering.on_buffer_drop(STREAM)
    assert delivering._active_partitions == set()
    delivering.resume_partitions({STREAM})
    delivering._active_partitions.discard(STREAM)
    delivering._buffered_partitions.add(STREAM)
    delivering.on_buffer_drop(STREAM)
    assert delivering._active_partitions == {STREAM}


@pytest.mark.parametrize(("halted", "generation"), [(False, 2), (True, 3), (True, 2)])
async def test_what_is_delivered_again_does_not_count_as_done(
    delivering: Any, monkeypatch: pytest.MonkeyPatch, halted: bool, generation: int
) -> None:
    counted: list[Any] = []

    def count(_: object, message: Any) -> bool:
        counted.append(message)
        return True

    monkeypatch.setattr(FaustConsumer, "ack", count)
    delivering.app = SimpleNamespace(consumer_generation_id=3)
    message = SimpleNamespace(generation_id=3)
    assert delivering.ack(message)
    delivering._halted, message.generation_id = halted, generation
    assert not delivering.ack(message)
    assert counted == [message]


async def test_a_consumer_that_is_halted_delivers_and_commits_nothing_until_all_is_open_again(
    delivering: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def commit(*_: object) -> bool:
        return True

    async def reopened(*_: object) -> None: ...

    monkeypatch.setattr(FaustConsumer, "_commit_tps", commit)
    monkeypatch.setattr("app.embedded.consumer.reopen", reopened)
    steps: list[Any] = []
    flow_control = SimpleNamespace(suspend=lambda: steps.append("suspend"), clear=lambda: steps.append("clear"))
    delivering.app = SimpleNamespace(should_stop=False, flow_control=flow_control, on_halt=steps.append)
    delivering._embedded = delivering.log = logging.getLogger(__name__)
    at_work = SimpleNamespace(acked=False)
    delivering._unacked_messages = [at_work]
    futures: list[Any] = []
    delivering.add_future = futures.append
    delivering.resume_flow()
    assert (delivering.flow_active, await delivering._commit_tps({STREAM}, False)) == (True, True)
    delivering._halt(failure := LogFailed(Path("log"), "full"))
    assert steps == ["suspend", "clear", failure]
    assert (at_work.acked, delivering._unacked_messages) == (True, [])
    delivering.resume_flow()
    assert (delivering.flow_active, await delivering._commit_tps({STREAM}, False)) == (False, False)
    [opening] = futures
    await opening
    delivering.resume_flow()
    assert (delivering.flow_active, await delivering._commit_tps({STREAM}, False)) == (True, True)
