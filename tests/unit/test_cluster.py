"""Questions to many partitions: others have their turn in between, and each answer is of a partition that is here."""

import asyncio
import time

import pytest
from aiokafka.errors import KafkaTimeoutError
from faust.types import TP

from app import cluster, topics
from app.faust_app import app
from app.positions import Positions
from tables import spending

PARTITIONS = range(8)


@pytest.fixture(autouse=True)
def assigned(monkeypatch: pytest.MonkeyPatch) -> set[TP]:
    """What is assigned to this worker, which is ready: all partitions."""
    found = {TP(topics.score_events.name, partition) for partition in PARTITIONS}
    consumer = app._new_consumer()
    consumer._assigned = found
    changelog = next(iter(app.tables.changelog_topics))
    monkeypatch.setattr(app, "_consumer", consumer)
    monkeypatch.setattr(app.tables, "actives_ready", True)
    monkeypatch.setattr(app.assignor, "_changelog_distribution", {cluster.here(): {changelog: list(PARTITIONS)}})
    return found


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> str:
    """A query that takes longer than a turn, by its name."""

    def slow(partition: int) -> int:
        end = time.perf_counter() + 0.003
        while time.perf_counter() < end:
            pass
        return partition

    monkeypatch.setattr(spending, "slow", slow, raising=False)
    return "tables.spending:slow"


async def test_a_peer_that_asks_many_partitions_leaves_others_a_turn_between_them(slow: str) -> None:
    turns = 0
    asked = asyncio.ensure_future(cluster.answer_peer(slow, list(PARTITIONS), [], {}))
    while not asked.done():
        await asyncio.sleep(0)
        turns += 1
    assert await asked == list(PARTITIONS)
    assert turns >= len(PARTITIONS)


@pytest.mark.parametrize("name", ["tables.spending:later", "tables.later:page", "os:getcwd"])
async def test_a_query_that_only_another_version_has_is_not_known(name: str) -> None:
    with pytest.raises(cluster.UnknownQuery):
        await cluster.answer_peer(name, [0], [], {})


async def test_who_owns_what_is_looked_up_once_for_all_partitions(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = 0
    owners = cluster.owners

    def counted() -> dict[int, str]:
        nonlocal looked
        looked += 1
        return owners()

    monkeypatch.setattr(cluster, "owners", counted)
    assert await cluster.everywhere(lambda partition: partition * 2) == {number: number * 2 for number in PARTITIONS}
    assert looked == 1


async def test_a_partition_that_moves_while_others_answer_is_not_answered_for(assigned: set[TP]) -> None:
    def moving(partition: int) -> int:
        assigned.discard(TP(topics.score_events.name, 5))
        return partition

    with pytest.raises(cluster.Unavailable, match="moved"):
        await cluster.everywhere(moving)

    async def leaving(partition: int) -> int:
        assigned.clear()
        return partition

    with pytest.raises(cluster.Unavailable, match="moved"):
        await cluster.ask_here(leaving, 0)


async def test_who_waits_for_an_answer_is_told_at_once_that_the_worker_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_stopping", False)
    never = asyncio.Event()

    async def waiting(partition: int) -> None:
        await never.wait()

    asked = [asyncio.ensure_future(cluster.ask_here(waiting, partition)) for partition in PARTITIONS]
    await asyncio.sleep(0)
    cluster.stop()
    for answer in asked:
        with pytest.raises(cluster.Unavailable, match="stopping"):
            await answer
    with pytest.raises(cluster.Unavailable, match="stopping"):
        cluster.check_ready()


async def test_a_worker_whose_partitions_others_may_have_answers_nothing_from_its_tables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def rows(partition: int) -> int:
        return partition

    assert await cluster.ask_here(rows, 0) == 0
    monkeypatch.setattr(type(app.consumer), "in_doubt", True)
    with pytest.raises(cluster.Unavailable, match="still has its partitions"):
        await cluster.ask_here(rows, 0)


async def test_a_query_that_takes_too_long_by_itself_is_not_taken_for_a_stop() -> None:
    async def late(partition: int) -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        await cluster.ask_here(late, 0)


async def test_a_moment_is_past_once_all_that_was_written_up_to_then_is_applied(
    assigned: set[TP], monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = time.time()
    flushing, durable = asyncio.Event(), asyncio.Event()
    ends, positions = dict.fromkeys(assigned, 0), Positions()

    class Producer:
        failed = None

        async def flush(self) -> None:
            assert int(time.time() * 1000) / 1000 > moment
            flushing.set()
            await durable.wait()

    async def highwaters(*partitions: TP) -> dict[TP, int]:
        return {tp: ends[tp] for tp in partitions}

    monkeypatch.setattr(app, "_producer", Producer())
    monkeypatch.setattr(app.consumer, "highwaters", highwaters)
    monkeypatch.setattr("app.cluster.positions", positions)
    past = asyncio.create_task(cluster.all_caught_up_past(topics.score_events, moment))
    async with asyncio.timeout(10):
        await flushing.wait()
    ends[TP(topics.score_events.name, 5)] = 1  # it was appended before, and is durable only now
    durable.set()
    await _turns()
    assert not past.done()
    positions.applied(topics.score_events.name, 5, 0)
    assert all((await past).values())


async def test_a_moment_is_not_past_if_what_was_written_up_to_then_may_or_may_not_be_in_the_log(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Producer:
        failed: Exception | None = None

        async def flush(self) -> None:
            self.failed = KafkaTimeoutError("not acknowledged")
            raise self.failed

    monkeypatch.setattr(app, "_producer", Producer())
    with pytest.raises(cluster.Unavailable, match="not acknowledged"):
        await cluster.all_caught_up_past(topics.score_events, time.time())


async def _turns() -> None:
    for _ in range(100):
        await asyncio.sleep(0)
