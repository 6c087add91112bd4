"""Scorers that behave, and scorers that do not, for the tests of this folder."""

import asyncio
import gc
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from app.scorers import Failure, MissingInput, NoJudgement, Policy, RetryLater, Scorer, report, scorer


class Gate:
    """What `swallows_cancellation` waits for, set by a test."""

    open: asyncio.Event


@scorer
def text_length(output: str) -> dict[str, int]:
    """Length of the output."""
    return {"score": len(output)}


@scorer(kind="async_length", description="Length, async.")
async def measured(output: str) -> dict[str, int]:
    return {"score": len(output)}


class Threshold(Scorer):
    """The length is at least a limit."""

    limit: int
    label: str = "length"

    def score(self, *, output: str) -> dict[str, Any]:
        return {"passed": len(output) >= self.limit, "label": self.label}


@scorer
def loops_for_ever(output: str) -> None:
    while True:
        pass


@scorer
def exits(output: str) -> None:
    os._exit(7)


@scorer
def kills_itself(output: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@scorer
def raises(output: str) -> None:
    _helper_that_raises()


def _helper_that_raises() -> None:
    raise ZeroDivisionError("by nothing")


class Unprintable(Exception):
    """Can be neither printed nor pickled."""

    def __init__(self, reason: str, lock: object) -> None:
        self.lock = lock

    def __str__(self) -> str:
        raise RuntimeError("no words")


@scorer
def raises_unprintable(output: str) -> None:
    raise Unprintable("x", os.scandir())


@scorer
def raises_system_exit(output: str) -> None:
    raise SystemExit(3)


@scorer
def raises_keyboard_interrupt(output: str) -> None:
    raise KeyboardInterrupt


@scorer
def misses_input(output: str) -> None:
    raise MissingInput("There is no answer to compare with.")


@scorer
def returns_nan(output: str) -> dict[str, float]:
    return {"score": float("nan")}


@scorer
def returns_5_mb(output: str) -> str:
    return "x" * 5_000_000


@scorer
def returns_generator(output: str) -> Iterator[int]:
    return (number for number in range(3))


@scorer
def writes_to_standard_files(output: str) -> dict[str, bool]:
    print("hello")
    os.write(1, b"RETURN 5\nhello")
    os.write(2, b"e" * 200_000)
    subprocess.run(["cat"], check=True)
    subprocess.run([sys.executable, "-c", "import sys; sys.stdin.read(); print('child')"], check=True)
    return {"passed": True}


@scorer
def gets_signals_of_its_group(output: str) -> dict[str, bool]:
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGTERM)
    return {"passed": True}


@scorer
def alarms(output: str) -> dict[str, Any]:
    """In how many seconds an alarm ends its process. Makes a file of the output's name once there is no alarm."""

    def wait() -> None:
        while signal.getitimer(signal.ITIMER_REAL)[0]:
            time.sleep(0.01)
        Path(output).touch()

    threading.Thread(target=wait, daemon=True).start()
    ends_it = signal.signal(signal.SIGALRM, lambda *_: None) is signal.SIG_DFL
    return {"left": signal.getitimer(signal.ITIMER_REAL)[0], "ends_it": ends_it}


@scorer
async def never_answers(output: str) -> None:
    await asyncio.Event().wait()


@scorer
async def swallows_cancellation(output: str) -> dict[str, bool]:
    while not Gate.open.is_set():
        try:
            await Gate.open.wait()
        except asyncio.CancelledError:
            continue
    return {"passed": True}


@scorer
async def ignores_cancellation(output: str) -> None:
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            continue


@scorer
async def async_system_exit(output: str) -> None:
    raise SystemExit(3)


@scorer
async def async_keyboard_interrupt(output: str) -> None:
    raise KeyboardInterrupt


@scorer
async def cancels_itself(output: str) -> None:
    raise asyncio.CancelledError


@scorer
async def async_nan(output: str) -> float:
    return float("nan")


@scorer
async def changes_its_input(output: str, inputs: dict[str, Any]) -> int:
    inputs["question"].append("changed")
    return len(inputs["question"])


@scorer
async def where(output: str) -> int:
    """In which process it runs."""
    return os.getpid()


@scorer
async def garbage(output: str) -> int:
    """How many objects of its process only the garbage collector finds."""
    return gc.collect()


@scorer
async def blocks_for_ever(output: str) -> None:
    """Makes a file of the output's name if that is a path."""
    if output.startswith("/"):
        Path(output).touch()
    signal.pause()


@scorer
async def computes_for_ever(output: str) -> None:
    """In C, without letting go of the interpreter."""
    re.match("(a+)+$", "a" * 100 + "!")


@scorer
async def has_what_blocks_begun(output: str) -> None:
    await asyncio.create_task(_blocks())


async def _blocks() -> None:
    signal.pause()


@scorer
async def async_exits(output: str) -> None:
    os._exit(7)


@scorer
async def says_that_it_was_cancelled(output: str) -> None:
    """Makes a file of the output's name when it starts, and another beside it when it is cancelled."""
    Path(output).touch()
    try:
        await asyncio.Event().wait()
    finally:
        Path(f"{output}.cancelled").touch()


@scorer
async def asks_twice(output: str) -> str:
    """Asks somebody who answers, then somebody who does not."""
    await report().asking()
    report().asked(3, 4, (1.0, 1.0))
    report().made_with(model="m")
    await report().asking()
    os.kill(os.getpid(), signal.SIGKILL)
    return "never"


class AsksAlways(Scorer):
    """Asks `times` at once, and perhaps gets no answer."""

    asks = True
    times: int = 1
    dies: bool = False

    async def score(self, *, output: str) -> str:
        await asyncio.gather(*(report().asking() for _ in range(self.times)))
        if self.dies:
            os._exit(7)
        for _ in range(self.times):
            report().asked(3, 4, None)
        return "asked"


class AsksAfterAll(Scorer):
    """Says that it always asks, and never does."""

    asks = True

    async def score(self, *, output: str) -> str:
        await asyncio.sleep(0.2)
        return "fine"


@scorer
async def gives_up_a_request(output: str) -> str:
    """Gives up the first of two requests, and sends the second."""
    first, second = (asyncio.create_task(report().asking()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await second
    report().asked(3, 4, None)
    return "asked"


@scorer
async def leaves_a_request(output: str) -> str:
    """Ends while a request still waits to be sent."""
    Left.request = asyncio.create_task(report().asking())
    await asyncio.sleep(0)
    return "left"


class Left:
    """What `leaves_a_request` leaves."""

    request: "asyncio.Task[None]"


@scorer
async def ends_beside_a_child(output: str) -> None:
    """Its child lives on, with whatever it was given."""
    await asyncio.create_subprocess_exec("sleep", "20", close_fds=False)
    os._exit(7)


@scorer
async def raises_what_holds_an_odd_object(output: str) -> None:
    raise NoJudgement("odd", Odd())  # type: ignore[arg-type]


class Odd(NoJudgement):
    """Cannot be made again of what an exception keeps."""

    def __init__(self) -> None:
        super().__init__("odd", "nothing to say", Failure.THROTTLED, retry_after=3.0, raw="raw")


@scorer
async def raises_an_odd_error(output: str) -> None:
    raise Odd


@scorer
async def reports_what_cannot_be_sent(output: str) -> str:
    report().lineage["lock"] = os.scandir()
    return "fine"


@scorer
async def reports_no_lineage(output: str) -> str:
    report().lineage = None  # type: ignore[assignment]
    return "fine"


@scorer
async def reports_a_cost_without_end(output: str) -> str:
    report().cost = float("inf")  # type: ignore[assignment]
    return "fine"


@scorer
async def asks_when_it_is_over(output: str) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        try:
            await report().asking()
        finally:
            Path(output).touch()


class TooManyRequests(Exception):
    """As HTTP clients raise it, and of a kind that cannot be pickled."""

    def __init__(self, retry_after: str) -> None:
        self.status = 429
        self.headers = {"Retry-After": retry_after}
        self.lock = os.scandir()


@scorer
def throttled(output: str) -> None:
    raise TooManyRequests("12.5")


@scorer
async def throttled_async(output: str) -> None:
    raise TooManyRequests("12.5")


@scorer
def asks_for_later(output: str) -> None:
    raise RetryLater(12.5)


@scorer
async def asks_for_later_async(output: str) -> None:
    raise RetryLater(12.5)


@scorer(policy=Policy(attempts=7, provider="local"))
def has_a_policy(output: str) -> int:
    return 1


class HasAPolicy(Scorer):
    """A class that says how it is run."""

    policy = Policy(timeout=2.5)
    n: int = 0

    def score(self, *, output: str) -> int:
        return self.n


class HasAParameterOfThatName(BaseModel):
    """Its `policy` is a parameter and says nothing of how it is run."""

    policy: str = "strict"

    def score(self, *, output: str) -> str:
        return self.policy
