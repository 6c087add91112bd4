"""How the service watches a host: here the test is the host, and answers or not."""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Callable

import pytest

from app.scorers import BoundScorer, Report, ScorerDied, ScorerError
from app.scorers.channel import Channel, Message
from app.scorers.errors import BystanderDied
from app.scorers.host_process import HostedRun
from app.scorers.hosts import Hosts
from app.scorers.report import EMPTY, Outcome
from tests.unit.scorers.timed import timed

MOST_SILENT, START_ALLOWANCE = 0.2, 1.0
SECONDS = 60.0

Bind = Callable[..., BoundScorer]


class FakeHost:
    """One process: it is where the test sends from and receives, and ends when it is killed."""

    pid, returncode = 0, None

    def __init__(self) -> None:
        self.received: asyncio.Queue[Message] = asyncio.Queue()
        self.channel = Channel(self.received.put_nowait)
        self.ended = asyncio.Event()

    def kill(self) -> None:
        self.end(-9)

    def end(self, code: int) -> None:
        if self.returncode is None:
            self.returncode = code
            self.ended.set()

    def send_signal(self, _: int) -> None:
        raise ProcessLookupError  # it shows no dump

    async def wait(self) -> int | None:
        await self.ended.wait()
        return self.returncode

    async def expect(self, kind: str) -> Message:
        """The next message, which must be of that kind."""
        async with asyncio.timeout(10):
            message = await self.received.get()
        assert message[0] == kind
        return message

    async def loads(self, usable: bool = True) -> None:
        """Load what it is asked to, at once."""
        _, ref, _ = await self.expect("load")
        self.channel.send(("loading", ref))
        self.channel.send(("loaded", ref, usable))

    async def silent(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def alive(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.channel.send(("alive",))
            await asyncio.sleep(0.02)


class Supervised:
    """Hosts whose processes are the test's."""

    def __init__(self) -> None:
        self.hosts = Hosts()
        self.started: asyncio.Queue[FakeHost] = asyncio.Queue()
        self.processes = 0
        self.outcomes: asyncio.Queue[Outcome] = asyncio.Queue()
        self.on_request: Callable[[Callable[[], None]], None] | None = None

    async def start(self) -> tuple[FakeHost, socket.socket, int]:
        """In place of what starts a process."""
        self.processes += 1
        ours, theirs = socket.socketpair()
        dumps, their_dumps = os.pipe()
        os.close(their_dumps)
        host = FakeHost()
        await asyncio.get_running_loop().create_connection(lambda: host.channel, sock=theirs)
        self.started.put_nowait(host)
        return host, ours, dumps

    async def host(self) -> FakeHost:
        """The process that is started next."""
        async with asyncio.timeout(10):
            return await self.started.get()

    def begin(self, bound: BoundScorer, report: Report | None = None) -> HostedRun:
        report = Report() if report is None else report
        return self.hosts.begin(
            timed(bound, SECONDS), {"output": ""}, report, self.outcomes.put_nowait, self.on_request
        )

    async def outcome(self) -> Outcome:
        async with asyncio.timeout(10):
            return await self.outcomes.get()


@pytest.fixture
async def supervised(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Supervised]:
    made = Supervised()
    monkeypatch.setattr("app.scorers.host_process._start", made.start)
    monkeypatch.setattr("app.scorers.host_process._LOOK_EVERY", 0.05)
    monkeypatch.setattr("app.scorers.host_process.MOST_SILENT", MOST_SILENT)
    monkeypatch.setattr("app.scorers.host_process.START_ALLOWANCE", START_ALLOWANCE)
    yield made
    await made.hosts.close()


async def test_a_host_may_be_silent_while_it_starts_and_loads_but_not_while_it_runs(
    supervised: Supervised, bind: Bind
) -> None:
    supervised.begin(bind("where"))
    host = await supervised.host()
    await host.silent(1.5 * MOST_SILENT)  # it starts
    _, ref, _ = await host.expect("load")
    host.channel.send(("loading", ref))
    await host.silent(1.5 * MOST_SILENT)
    host.channel.send(("loaded", ref, True))
    await host.expect("run")
    await host.alive(3 * MOST_SILENT)
    assert supervised.outcomes.empty()
    died = await supervised.outcome()  # it is silent
    assert isinstance(died, ScorerDied)
    assert not isinstance(died, BystanderDied)
    assert str(died) == f"An async scorer of its package did not await for {MOST_SILENT:g} s."
    assert host.returncode == -9


async def test_a_host_is_not_taken_for_hung_by_a_service_that_stood_still_itself(
    supervised: Supervised, bind: Bind
) -> None:
    host = await _ready(supervised, bind("where"))
    supervised.begin(bind("where"))
    time.sleep(2 * MOST_SILENT)
    for _ in range(10):
        await asyncio.sleep(0)
    await host.alive(MOST_SILENT)
    assert supervised.outcomes.empty()


async def test_a_scorer_that_does_not_load_in_time_fails_all_runs_and_others_run_in_a_new_process(
    supervised: Supervised, bind: Bind
) -> None:
    host = await _ready(supervised, bind("where"))
    supervised.begin(bind("where"))
    await host.expect("run")
    supervised.begin(bind("never_answers"))
    _, ref, _ = await host.expect("load")
    host.channel.send(("loading", ref))
    for _ in range(2):
        died = await supervised.outcome()
        assert isinstance(died, ScorerDied)
        assert str(died) == f"A scorer of its package took more than {START_ALLOWANCE:g} s to load."
    assert supervised.hosts.ready(bind("never_answers"), lambda: None)  # its runs say why
    supervised.begin(bind("where"))
    await (await supervised.host()).loads()


async def test_a_run_that_was_cancelled_gets_no_permit_and_what_its_host_still_says_of_it_is_dropped(
    supervised: Supervised, bind: Bind
) -> None:
    asked: list[Callable[[], None]] = []
    supervised.on_request = asked.append
    report = Report()
    cancelled = supervised.begin(bind("AsksAlways"), report)
    host = await supervised.host()
    await host.loads()
    _, number, *_ = await host.expect("run")
    cancelled.cancel()
    cancelled.cancel()
    await host.expect("stop")
    [may_ask] = asked
    may_ask()
    host.channel.send(("request_starting", number, 0, EMPTY))
    host.channel.send(("ended", number, b"1", EMPTY))
    supervised.begin(bind("AsksAlways"))
    _, number, *_ = await host.expect("run")
    host.channel.send(("ended", number, b"2", EMPTY))
    assert await supervised.outcome() == b"2"
    assert (report, cancelled.permits, len(asked)) == (Report(), 0, 2)


@pytest.mark.parametrize("loaded", [False, True])
async def test_a_run_whose_request_cannot_be_logged_is_stopped(
    supervised: Supervised, bind: Bind, loaded: bool
) -> None:
    def fails(_: Callable[[], None]) -> None:
        raise RuntimeError("the log is closed")

    supervised.on_request = fails
    if loaded:
        host = await _ready(supervised, bind("AsksAlways"))
        with pytest.raises(RuntimeError, match="the log is closed"):
            supervised.begin(bind("AsksAlways"))
    else:
        supervised.begin(bind("AsksAlways"))
        host = await supervised.host()
        await host.loads()
        failed = await supervised.outcome()
        assert isinstance(failed, ScorerError)
        assert "the log is closed" in str(failed)
    _, number, *_ = await host.expect("run")
    assert await host.expect("stop") == ("stop", number)
    assert supervised.outcomes.empty()


async def test_what_begins_while_its_host_ends_runs_in_the_next_one(supervised: Supervised, bind: Bind) -> None:
    bound = bind("where")
    host = await _ready(supervised, bound)

    def begin_another(_: Outcome) -> None:
        supervised.begin(bound)

    supervised.hosts.begin(timed(bound, SECONDS), {}, Report(), begin_another)
    _, number, *_ = await host.expect("run")
    host.channel.send(("clogged", bound.ref))
    host.channel.send(("ended", number, b"1", EMPTY))
    following = await supervised.host()
    await following.loads()
    _, number, *_ = await following.expect("run")
    following.channel.send(("ended", number, b"2", EMPTY))
    assert await supervised.outcome() == b"2"


@pytest.mark.parametrize(
    ("code", "how"), [(7, "Its process ended with exit code 7."), (None, "The service stops.")], ids=["dies", "stops"]
)
async def test_runs_say_whether_their_process_died_or_the_service_stops(
    supervised: Supervised, bind: Bind, code: int | None, how: str
) -> None:
    bound = bind("where")
    host = await _ready(supervised, bound)
    supervised.begin(bound)
    await host.expect("run")
    if code is None:
        await supervised.hosts.close()
    else:
        host.end(code)
    died = await supervised.outcome()
    assert (type(died), str(died)) == (ScorerDied, how)


async def test_a_process_that_cannot_be_started_fails_its_runs_and_the_next_run_tries_again(
    supervised: Supervised, bind: Bind, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails() -> None:
        raise OSError("Cannot allocate memory")

    ready = asyncio.Event()
    with monkeypatch.context() as patch:
        patch.setattr("app.scorers.host_process._start", fails)
        supervised.hosts.ready(bind("where"), ready.set)
        supervised.begin(bind("where"))
        died = await supervised.outcome()
    assert (type(died), str(died)) == (ScorerDied, "No process could be started for it: Cannot allocate memory.")
    assert ready.is_set()
    await _ready(supervised, bind("async_length"))


async def test_hosts_can_be_closed_while_one_of_them_ends(supervised: Supervised, bind: Bind) -> None:
    bound = bind("where")
    host = await _ready(supervised, bound)
    closing: list[asyncio.Task[None]] = []

    def close(_: Outcome) -> None:
        closing.append(asyncio.create_task(supervised.hosts.close()))

    supervised.hosts.begin(timed(bound, SECONDS), {}, Report(), close)
    _, number, *_ = await host.expect("run")
    host.channel.send(("clogged", bound.ref))
    host.channel.send(("ended", number, b"1", EMPTY))
    async with asyncio.timeout(10):
        await host.ended.wait()
        await closing[0]


async def test_once_the_hosts_are_closed_nothing_starts_a_process(supervised: Supervised, bind: Bind) -> None:
    await supervised.hosts.close()
    assert supervised.hosts.ready(bind("where"), lambda: None)
    with pytest.raises(ScorerDied, match="service stops"):
        supervised.begin(bind("where"))
    await asyncio.sleep(0)
    assert supervised.processes == 0


async def _ready(supervised: Supervised, bound: BoundScorer) -> FakeHost:
    """A host that has loaded the scorer."""
    ready = asyncio.Event()
    assert not supervised.hosts.ready(bound, ready.set)
    host = await supervised.host()
    await host.loads()
    async with asyncio.timeout(10):
        await ready.wait()
    return host
