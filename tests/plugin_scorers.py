"""Scorers that misbehave in every way a user's can, and some that do not. Named by CALLSCORE_SCORERS in tests."""

import asyncio
import os
import random
import signal
from collections.abc import Iterator
from typing import Any

from app.scorers import InvalidOutput, report, scorer


@scorer
async def patient(output: str) -> dict[str, int]:
    """Takes a moment, as a remote judge would."""
    await asyncio.sleep(random.uniform(0.0, 0.02))
    return {"score": len(output)}


@scorer
async def flaky(output: str) -> dict[str, bool]:
    """Fails one attempt in three."""
    await asyncio.sleep(0)
    if random.random() < 1 / 3:
        raise ConnectionError("try again")
    return {"passed": True}


@scorer
def in_process(output: str) -> dict[str, str]:
    """Runs in a worker process, as all synchronous scorers of users do."""
    return {"reversed": output[::-1]}


@scorer
def hangs(output: str) -> None:
    """Never returns, and never lets go of its interpreter."""
    while True:
        pass


@scorer
async def hangs_softly(output: str) -> None:
    """Never returns, and swallows being cancelled."""
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            continue


@scorer
def dies(output: str) -> None:
    """Takes its process along."""
    os._exit(7)


@scorer
def returns_nan(output: str) -> dict[str, float]:
    return {"score": float("nan")}


@scorer
def returns_5_mb(output: str) -> str:
    return "x" * 5_000_000


@scorer
def returns_a_generator(output: str) -> Iterator[int]:
    return (number for number in range(3))


@scorer
async def returns_a_number_beyond_all_bounds(output: str) -> dict[str, int]:
    return {"score": 10**400}


@scorer
async def returns_a_deep_hole(output: str) -> list[Any]:
    hole: list[Any] = []
    for _ in range(199):
        hole = [hole]
    return hole


@scorer
async def complains_in_no_language(output: str) -> None:
    """Raises what no UTF-8 can carry."""
    raise InvalidOutput("bad \ud800")


@scorer
def reports_half_a_token(output: str) -> bool:
    report().asked(12.5, 1, None)  # type: ignore[arg-type]
    return True


@scorer
async def reports_no_json(output: str) -> bool:
    report().made_with(model=object())
    return True


@scorer
async def forges_its_report(output: str) -> bool:
    report().lineage["model"] = object()
    return True


@scorer
def forges_its_report_with_a_number(output: str) -> bool:
    """Tells what Python can write and no row can hold."""
    report().lineage["seed"] = 2**70
    return True


@scorer
async def forges_its_lineage(output: str) -> bool:
    """Reports under the names that are not its own."""
    report().made_with(model="m", question=5, judged_for=None, scorer_kind="judge", scorer_digest="0", latency_ms=-1)
    return True


@scorer
def raises(output: str) -> None:
    """Fails every attempt."""
    raise LookupError("there is no such thing")


@scorer
def needs_context(output: str, context: str) -> bool:
    return context in output


HUNG = "hang"


@scorer
async def swallows_some(output: str) -> bool:
    """Never returns from some calls, and swallows being cancelled."""
    while output == HUNG:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            continue
    return True


@scorer
def loops_in_c_on_some(output: str) -> bool:
    """Does not come back from C code for some calls."""
    if output == HUNG:
        sum(range(10**15))
    return True


@scorer
def dies_of_some(output: str) -> bool:
    """Takes its process along for some calls."""
    if output == HUNG:
        os.kill(os.getpid(), signal.SIGKILL)
    return True
