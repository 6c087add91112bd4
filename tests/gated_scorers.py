"""Scorers that a test holds and lets go, or counts. Named by CALLSCORE_SCORERS in tests."""

import asyncio
from pathlib import Path

from app.scorers import Policy, RetryLater, Scorer, scorer


@scorer
async def gated(output: str) -> dict[str, str]:
    """Does as the file that the call's output names says: waits while it says `wait`, fails if it says `bad`."""
    while (said := Path(output).read_text()) in ("wait", ""):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    if said == "bad":
        raise LookupError("told to fail")
    return {"said": said}


@scorer(policy=Policy(concurrency=2))
async def at_the_second_try(output: str) -> bool:
    """Asks to be tried again at once unless the file that the call's output names is there, then takes a moment."""
    if not Path(output).exists():
        Path(output).touch()
        raise RetryLater(0.2)
    await asyncio.sleep(0.1)
    return True


class Counted(Scorer):
    """Adds a byte to the file that the call's output names whenever it starts, then takes a moment."""

    number: int
    takes: float = 0.02  # seconds
    fails: bool = False

    async def score(self, *, output: str) -> dict[str, int]:
        with Path(output).open("ab") as file:
            file.write(b"x")
        await asyncio.sleep(self.takes)
        if self.fails:
            raise LookupError("it always fails")
        return {"score": self.number}
