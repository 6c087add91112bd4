"""Memory shared by agents and views: controls that are about to change the progress of their requests."""

import asyncio
from collections import defaultdict

from app import topics
from app.positions import positions

_in_progress: defaultdict[tuple[int, str], set["asyncio.Future[None]"]] = defaultdict(set)


def begin(partition: int, request_id: str) -> "asyncio.Future[None]":
    """A control is going to change the progress of its request; resolve the future once it has."""
    changed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    where = (partition, request_id)
    _in_progress[where].add(changed)

    def forget(_: object) -> None:
        _in_progress[where].discard(changed)
        if not _in_progress[where]:
            del _in_progress[where]

    changed.add_done_callback(forget)
    return changed


async def in_effect(partition: int, request_id: str, offsets: list[int]) -> bool:
    """Wait until the progress of a request shows the control at this partition's offset."""
    await positions.reached(topics.controls.name, partition, offsets[partition])
    if waiting := _in_progress.get((partition, request_id)):
        await asyncio.wait(list(waiting))
    return True
