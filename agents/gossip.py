"""Tells other workers which breakers have opened or closed, so that all of them stop and go on together."""

import asyncio
from contextlib import suppress

from app import cluster
from tables import breakers

_REPEAT = 0.5  # seconds: for workers that came later, or did not hear


async def tell_breakers() -> None:
    """Tell at once what changed and again and again what has ever changed, for ever."""
    changed = asyncio.Event()
    breakers.when_changed.append(changed.set)
    while True:
        with suppress(TimeoutError):
            await asyncio.wait_for(changed.wait(), _REPEAT)
        changed.clear()
        told = breakers.to_tell()
        if told and len(set(cluster.owners().values())) > 1:
            try:
                await cluster.every_worker(breakers.hear, told)
            except cluster.Unavailable:
                continue  # partitions are moving: the next time is soon
