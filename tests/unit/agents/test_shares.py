"""All shares of a limit together never exceed it, not even while workers do not know yet who divides it."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from agents import shares as agent
from agents.shares import Shares
from app import cluster
from tables import shares as table

HERE, OTHER, THIRD = "here", "other", "third"


class Workers:
    """All workers, as this one finds them: who has partitions, and between whom each says that it divides."""

    def __init__(self) -> None:
        self.owners = [HERE]
        self.divide: dict[str, list[str]] | None = {}  # of the others; None while partitions move
        self.asked = 0
        self.answer = asyncio.Event()
        self.answer.set()

    async def every_worker(self, query: object) -> dict[str, list[str]]:
        self.asked += 1
        if self.divide is None:
            raise cluster.Unavailable("moving")
        known = {HERE: table.workers(0), **self.divide}
        found = {url: known[url] for url in set(self.owners) if url in known}
        await self.answer.wait()
        return found

    async def asked_again(self, times: int = 2) -> None:
        """Wait until this worker has had the answer to a question that it asks from now on."""
        until = self.asked + times
        async with asyncio.timeout(10):
            while self.asked < until:  # noqa: ASYNC110
                await asyncio.sleep(0)


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Workers]:
    made = Workers()
    monkeypatch.setattr(cluster, "here", lambda: HERE)
    monkeypatch.setattr(cluster, "owners", lambda: dict(enumerate(made.owners)))
    monkeypatch.setattr(cluster, "every_worker", made.every_worker)
    monkeypatch.setattr(agent, "_ASK_AGAIN", 0.0)
    yield made
    table.divide_between(frozenset())


@pytest.fixture
def taken() -> list[float]:
    """The shares that were taken, one after the other."""
    return []


@pytest.fixture
async def shares(workers: Workers, taken: list[float]) -> AsyncIterator[Shares]:
    """Of a worker that is new."""
    made = Shares(taken.append)
    running = asyncio.ensure_future(made.run())
    yield made
    assert not running.done()
    running.cancel()


@pytest.fixture
async def alone(shares: Shares, workers: Workers, taken: list[float]) -> Shares:
    """Of a worker that has no other beside it, and so all of each limit."""
    shares.recovered()
    assert taken == []
    await until(taken, [1.0])
    assert workers.asked == 0  # there is nobody to ask
    return shares


async def until(taken: list[float], wanted: list[float]) -> None:
    async with asyncio.timeout(10):
        while len(taken) < len(wanted):  # noqa: ASYNC110
            await asyncio.sleep(0)
    assert taken == wanted


async def test_a_worker_gives_up_part_of_its_share_as_soon_as_another_has_partitions(
    alone: Shares, workers: Workers, taken: list[float]
) -> None:
    workers.owners = [HERE, OTHER, HERE]
    alone.recovered()
    assert taken == [1.0, 0.5]
    assert table.workers(0) == [HERE, OTHER]
    workers.owners = []  # not known for the moment
    alone.recovered()
    assert taken == [1.0, 0.5]


@pytest.mark.parametrize(
    "divide",
    [
        {OTHER: [HERE, OTHER, THIRD]},  # it has yet to learn that one has left
        {OTHER: [OTHER]},  # or that this one has come
        {},  # it does not answer
        None,
    ],
)
async def test_a_worker_takes_a_larger_share_only_once_all_divide_between_the_same_workers(
    alone: Shares, workers: Workers, taken: list[float], divide: dict[str, list[str]] | None
) -> None:
    workers.owners = [HERE, OTHER, THIRD]
    alone.recovered()
    workers.owners, workers.divide = [HERE, OTHER], divide
    alone.recovered()
    await workers.asked_again()
    assert taken == [1.0, 1 / 3]
    workers.divide = {OTHER: [OTHER, HERE]}
    await until(taken, [1.0, 1 / 3, 0.5])


async def test_a_worker_that_is_new_has_no_share_before_the_others_have_given_up_theirs(
    shares: Shares, workers: Workers, taken: list[float]
) -> None:
    workers.owners, workers.divide = [HERE, OTHER], {OTHER: [OTHER]}
    shares.recovered()
    await workers.asked_again()
    assert taken == []
    workers.divide = {OTHER: [HERE, OTHER]}
    await until(taken, [0.5])
    asked = workers.asked
    for _ in range(20):
        await asyncio.sleep(0)
    assert workers.asked == asked  # it has what it wants


async def test_what_others_said_before_an_assignment_counts_for_nothing_after_it(
    alone: Shares, workers: Workers, taken: list[float]
) -> None:
    workers.owners = [HERE, OTHER, THIRD]
    workers.divide = {OTHER: [HERE, OTHER], THIRD: [HERE, OTHER]}
    alone.recovered()
    workers.answer.clear()
    workers.owners, workers.divide = [HERE, OTHER], {OTHER: [HERE, OTHER]}
    alone.recovered()
    await workers.asked_again(1)
    workers.owners = [HERE, OTHER, THIRD]  # which may start at once with its third
    alone.recovered()
    workers.answer.set()
    await workers.asked_again()
    assert taken == [1.0, 1 / 3]


async def test_a_worker_without_partitions_takes_no_larger_share(
    alone: Shares, workers: Workers, taken: list[float]
) -> None:
    workers.owners = [HERE, OTHER]
    alone.recovered()
    workers.owners, workers.divide = [OTHER], {OTHER: [OTHER]}
    alone.recovered()
    for _ in range(20):
        await asyncio.sleep(0)
    assert taken == [1.0, 0.5]
