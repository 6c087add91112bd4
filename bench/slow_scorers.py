"""Scorers that wait as a remote judge does. Named by CALLSCORE_SCORERS in benchmarks."""

import asyncio

from app.scorers import Scorer, scorer

SECONDS = 0.2


@scorer
async def slow(output: str) -> dict[str, int]:
    """Takes 200 ms of waiting, and next to no CPU."""
    await asyncio.sleep(SECONDS)
    return {"score": len(output)}


class SlowWith(Scorer):
    """As `slow`; there are as many as there are numbers."""

    number: int

    async def score(self, output: str) -> dict[str, int]:
        await asyncio.sleep(SECONDS)
        return {"score": len(output) + self.number}
