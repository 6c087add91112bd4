"""Scorers that wait as for a remote judge, for CALLSCORE_SCORERS."""

import asyncio

from app.scorers import Scorer, scorer

SECONDS = 0.2


@scorer
async def slow(output: str) -> dict[str, int]:
    """Waits for 200 ms, with next to no CPU."""
    await asyncio.sleep(SECONDS)
    return {"score": len(output)}


class SlowWith(Scorer):
    """As `slow`; each number is another scorer."""

    number: int

    async def score(self, output: str) -> dict[str, int]:
        await asyncio.sleep(SECONDS)
        return {"score": len(output) + self.number}
