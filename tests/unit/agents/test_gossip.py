"""What pauses a scorer on one worker pauses it on all, at once, and workers that come later too."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agents import gossip
from app import cluster
from app.scorers import Failure
from tables import breakers, pauses

REF = "callscore:///scorer/judge:1"


class Others:
    """What the other workers were sent; while partitions are `moving`, none can be asked."""

    def __init__(self) -> None:
        self.urls = ["here", "other"]
        self.moving = False
        self.looks = 0  # at who there is
        self.sent: asyncio.Queue[tuple[Any, Any]] = asyncio.Queue()

    def owners(self) -> dict[int, str]:
        self.looks += 1
        return dict(enumerate(self.urls))

    async def every_worker(self, query: Any, sent: Any) -> None:
        if self.moving:
            raise cluster.Unavailable("moving")
        self.sent.put_nowait((query, sent))

    async def rounds(self) -> None:
        """Let some rounds go by."""
        until = self.looks + 3
        async with asyncio.timeout(10):
            while self.looks < until:  # noqa: ASYNC110
                await asyncio.sleep(0.001)

    async def got(self) -> tuple[Any, Any]:
        return await asyncio.wait_for(self.sent.get(), 10)


@pytest.fixture
async def others(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Others]:
    made = Others()
    monkeypatch.setattr(cluster, "owners", made.owners)
    monkeypatch.setattr(cluster, "every_worker", made.every_worker)
    monkeypatch.setattr(breakers, "_breakers", {})
    monkeypatch.setattr(breakers, "when_changed", [])
    monkeypatch.setattr(pauses, "_spend_pauses", {})
    monkeypatch.setattr(gossip, "_REPEAT", 60.0)
    telling = asyncio.ensure_future(gossip.tell_pauses())
    await asyncio.sleep(0)
    yield made
    assert not telling.done()
    telling.cancel()


def open_breaker() -> None:
    breakers.of(None, REF).failed(Failure.UNAUTHORIZED, "bad key", None, False)


async def test_a_breaker_that_opens_or_closes_is_known_to_all_at_once(others: Others) -> None:
    open_breaker()
    query, [state] = await others.got()
    assert query is breakers.merge
    assert (state["scorer_ref"], state["open"], state["reason"]) == (REF, True, "bad key")
    breakers.of(None, REF).close()
    query, [state] = await others.got()
    assert (state["open"], state["version"]) == (False, 2)
    for _ in range(10):
        await asyncio.sleep(0)
    assert others.sent.empty()


async def test_all_pauses_are_sent_again_and_again_also_after_partitions_have_moved(
    others: Others, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses.cap_is_reached("p", REF, 5.0, 9e9)
    monkeypatch.setattr(gossip, "_REPEAT", 0.001)
    others.moving = True
    open_breaker()
    await others.rounds()
    others.moving = False
    for _ in range(2):
        assert [(await others.got())[0] for _ in range(2)] == [breakers.merge, pauses.merge]


async def test_a_worker_that_is_alone_or_has_nothing_to_say_sends_nothing(
    others: Others, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gossip, "_REPEAT", 0.001)
    breakers.when_changed[0]()
    await others.rounds()
    others.urls = ["here", "here"]
    open_breaker()
    await others.rounds()
    assert others.sent.empty()
