"""Tells other workers which breakers have opened or closed, so that all of them stop and go on together, and which
scorers have reached their spend cap, or one that cannot hold, so that all of them say so."""

import asyncio
from contextlib import suppress

from app import cluster
from tables import breakers, spending, unpriced

_REPEAT = 0.5  # seconds: for workers that came later, or did not hear


async def tell_pauses() -> None:
    """Tell at once what changed and again and again what has ever changed, for ever."""
    changed = asyncio.Event()
    breakers.when_changed.append(changed.set)
    while True:
        with suppress(TimeoutError):
            await asyncio.wait_for(changed.wait(), _REPEAT)
        changed.clear()
        if len(set(cluster.owners().values())) > 1:
            with suppress(cluster.Unavailable):  # partitions are moving: the next time is soon
                if states := breakers.outgoing():
                    await cluster.every_worker(breakers.merge, states)
                if caps := spending.to_tell():
                    await cluster.every_worker(spending.hear, caps)
                if said := unpriced.to_tell():
                    await cluster.every_worker(unpriced.hear, said)
