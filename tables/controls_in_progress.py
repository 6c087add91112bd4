"""Controls that are about to change the progress of their requests: in memory only, as the steering that does it is."""

import asyncio
from collections import defaultdict

from app import topics
from app.positions import positions

_under_way: defaultdict[tuple[int, str], set["asyncio.Future[None]"]] = defaultdict(set)


def begin(partition: int, request_id: str) -> "asyncio.Future[None]":
    """A control is going to change the progress of its request; the future is to be resolved once it has."""
    changed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    where = (partition, request_id)
    _under_way[where].add(changed)

    def forget(_: object) -> None:
        _under_way[where].discard(changed)
        if not _under_way[where]:
            del _under_way[where]

    changed.add_done_callback(forget)
    return changed


async def in_effect(partition: int, request_id: str, offsets: list[int]) -> bool:
    """Wait until the progress of a request shows the control that lies at this partition's offset."""
    await positions.reached(topics.controls.name, partition, offsets[partition])
    if waiting := _under_way.get((partition, request_id)):
        await asyncio.wait(list(waiting))
    return True
