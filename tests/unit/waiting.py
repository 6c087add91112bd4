"""How unit tests wait for what happens on their own event loop."""

import asyncio
from collections.abc import Callable


async def until(holds: Callable[[], object], seconds: float = 10) -> None:
    """Let others have their turns until it holds."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.001)
