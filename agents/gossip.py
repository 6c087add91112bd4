"""Tells other workers which scorers breakers and spend caps pause, so that all of them stop and go on together."""

import asyncio
from contextlib import suppress

from app import cluster
from tables import breakers, pauses

_REPEAT = 0.5  # seconds: for workers that came later, or did not answer


async def tell_pauses() -> None:
    """Send at once what changed, and all there is again and again, for ever.

    Workers of another version may not know a query, and then do not answer it.
    """
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
                if spend_pauses := pauses.outgoing():
                    await cluster.every_worker(pauses.merge, spend_pauses)
