"""The garbage collector stops everything in its process while it looks: what has run is gone without it."""

import asyncio
import gc
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from app.scorers import BoundScorer, Report, Runner, ScorerError
from tests.unit.scorers.timed import run_within

CALL = {"id": "c1", "op_name": "ask", "inputs": {}, "output": "four", "attributes": {}}
GENEROUS = 60.0


def test_what_has_run_leaves_nothing_to_the_garbage_collector(
    go: Callable[..., Any], bind: Callable[..., BoundScorer]
) -> None:
    runs = 50

    async def scenario() -> None:
        async with Runner() as runner:

            async def found(kind: str, **params: int) -> int:
                await run_within(runner, bind("garbage"), CALL, GENEROUS)
                many = (run_within(runner, bind(kind, **params), CALL, GENEROUS, Report()) for _ in range(runs))
                await asyncio.gather(*many, return_exceptions=True)
                return int(await run_within(runner, bind("garbage"), CALL, GENEROUS))

            await found("async_length")  # what loading leaves
            assert await found("async_length") < runs
            assert await found("AsksAlways", times=2) < runs
            assert await found("async_nan") < runs

            async def left_here(kind: str) -> int:
                gc.collect()
                for _ in range(runs):
                    with suppress(ScorerError):
                        await run_within(runner, bind(kind), CALL, GENEROUS, Report())
                return gc.collect()

            # Nor in the service.
            for kind in ("async_nan", "raises"):
                await left_here(kind)
                assert await left_here(kind) < runs

    go(scenario())
