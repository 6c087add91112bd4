"""Memory shared by agents and views: controls that are about to change the progress of their requests."""

import asyncio
from collections import defaultdict
from collections.abc import Callable

from app import topics
from app.positions import positions

_in_progress: defaultdict[tuple[int, str], set[asyncio.Event]] = defaultdict(set)


def begin(partition: int, request_id: str) -> Callable[[], None]:
    """A control is going to change the progress of its request; call what is returned once it has, or will not."""
    where = (partition, request_id)
    changed = asyncio.Event()
    _in_progress[where].add(changed)

    def end() -> None:
        changed.set()
        _in_progress[where].discard(changed)
        if not _in_progress[where]:
            del _in_progress[where]

    return end


async def in_effect(partition: int, request_id: str, offsets: list[int]) -> bool:
    """Wait until the progress of a request shows the control at this partition's offset."""
    await positions.reached(topics.controls.name, partition, offsets[partition])
    for changed in list(_in_progress.get((partition, request_id), ())):
        await changed.wait()
    return True
