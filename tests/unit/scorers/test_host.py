"""What a host does for the service: here the test is the service, and the host runs on the same event loop."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from app.scorers import BoundScorer, ScorerVersionUnavailable
from app.scorers.channel import Channel, Message
from app.scorers.host import Host
from app.scorers.report import EMPTY
from tests.unit.waiting import until

TASK = ("project", "call", "ref", "")
SECONDS = 60.0

Bind = Callable[..., BoundScorer]


class Service:
    """The service's end of the connection."""

    def __init__(self) -> None:
        self.received: asyncio.Queue[Message] = asyncio.Queue()
        self.channel = Channel(self.received.put_nowait)

    def load(self, bound: BoundScorer, **changes: Any) -> None:
        self.channel.send(("load", bound.ref, bound.source._replace(**changes)))

    def run(self, number: int, bound: BoundScorer, seconds: float = SECONDS) -> None:
        self.channel.send(("run", number, bound.ref, {"output": "four"}, seconds, TASK, bound.asks))

    def rest(self) -> list[Message]:
        """What came and was not expected yet."""
        return [self.received.get_nowait() for _ in range(self.received.qsize())]

    async def expect(self, *start: Any) -> Message:
        """The next message but those that the host is alive, which must begin like that; returns its rest."""
        async with asyncio.timeout(10):
            while (message := await self.received.get()) == ("alive",):
                pass
        assert message[: len(start)] == start
        return message[len(start) :]


@pytest.fixture
async def service(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Service]:
    """A service that has one host."""
    ours, theirs = socket.socketpair()
    made = Service()
    monkeypatch.setattr("os._exit", lambda code: made.received.put_nowait(("exit", code)))
    await asyncio.get_running_loop().create_connection(lambda: made.channel, sock=ours)
    host = asyncio.create_task(Host.serve(theirs))
    yield made
    host.cancel()
    await asyncio.wait([host])
    made.channel.close()


async def loaded(service: Service, bound: BoundScorer) -> BoundScorer:
    service.load(bound)
    await service.expect("loading", bound.ref)
    await service.expect("loaded", bound.ref, True)
    return bound


async def test_a_host_says_again_and_again_that_it_is_alive(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.scorers.host._ALIVE_EVERY", 0.01)
    async with asyncio.timeout(10):
        assert [await service.received.get() for _ in range(3)] == [("alive",)] * 3


async def test_a_scorer_of_another_version_is_not_usable_and_its_runs_say_why(service: Service, bind: Bind) -> None:
    bound = bind("async_length")
    service.load(bound, code_digest="another")
    await service.expect("loading", bound.ref)
    await service.expect("loaded", bound.ref, False)
    service.run(1, bound)
    outcome, _ = await service.expect("ended", 1)
    assert isinstance(outcome, ScorerVersionUnavailable)
    await loaded(service, bound)
    service.run(2, bound)
    assert await service.expect("ended", 2) == (b'{"score":4}', EMPTY)


async def test_permits_and_stops_that_come_after_a_run_has_ended_harm_no_other(service: Service, bind: Bind) -> None:
    bound = await loaded(service, bind("AsksAlways"))
    service.channel.send(("stop", 1))
    service.channel.send(("may_send", 1))
    service.run(2, bound, seconds=0.01)  # it ends before its permit comes
    await service.expect("ended", 2)
    service.channel.send(("may_send", 2))
    service.channel.send(("stop", 2))
    service.run(3, bound)
    service.channel.send(("may_send", 3))
    service.channel.send(("may_send", 3))  # one too many
    outcome, (_, amounts) = await service.expect("ended", 3)
    assert (outcome, amounts[0]) == (b'"asked"', 1)


async def test_of_a_run_that_is_stopped_nothing_more_comes(service: Service, bind: Bind) -> None:
    never = await loaded(service, bind("never_answers"))
    length = await loaded(service, bind("async_length"))
    before = asyncio.all_tasks()
    service.run(1, never)
    service.channel.send(("stop", 1))
    service.run(2, length)
    await service.expect("ended", 2)
    await until(lambda: asyncio.all_tasks() <= before)
    assert all(message == ("alive",) for message in service.rest())


async def test_a_request_that_is_given_up_takes_no_permit_from_another(service: Service, bind: Bind) -> None:
    bound = await loaded(service, bind("gives_up_a_request"))
    length = await loaded(service, bind("async_length"))
    service.run(1, bound)
    for _ in range(2):
        await service.expect("request_starting", 1, 0)
    service.channel.send(("may_send", 1))  # the one that was given up
    service.run(2, length)
    await service.expect("ended", 2)
    service.channel.send(("may_send", 1))
    outcome, (_, amounts) = await service.expect("ended", 1)
    assert (outcome, amounts[0]) == (b'"asked"', 1)


async def test_a_run_that_has_ended_leaves_nothing_that_waits_for_a_permit(service: Service, bind: Bind) -> None:
    bound = await loaded(service, bind("leaves_a_request"))
    before = asyncio.all_tasks()
    service.run(1, bound)
    await service.expect("request_starting", 1, 0)
    assert await service.expect("ended", 1) == (b'"left"', EMPTY)
    await until(lambda: asyncio.all_tasks() <= before)
