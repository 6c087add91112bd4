"""Async scorers that block the event loop they run on. Named by CALLSCORE_SCORERS in tests."""

import asyncio
import os
import time
from pathlib import Path

from app.scorers import Policy, scorer


@scorer(policy=Policy(timeout=0.5, attempts=1))
async def blocks(output: str) -> None:
    """Writes into the file that the call's output names in which process it runs, and gives nothing back."""
    Path(output).write_text(str(os.getpid()))
    time.sleep(3600)


@scorer(policy=Policy(timeout=600, attempts=1))
async def answers_the_second_time(output: str) -> str:
    """Waits for ever, once it has made the file that the call's output names with `.begun` behind it."""
    begun = Path(f"{output}.begun")
    if not begun.exists():
        begun.touch()
        await asyncio.sleep(3600)
    return "fine"


@scorer
async def says(output: str) -> str:
    """Does nothing wrong."""
    return "fine"
