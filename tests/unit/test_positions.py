"""Whoever waits for a record goes on once it is applied, or once its partition is another worker's."""

import asyncio

from app.positions import Positions


async def test_who_waits_goes_on_when_the_record_is_applied_or_its_partition_has_gone() -> None:
    positions = Positions()
    here, gone = (asyncio.create_task(positions.reached("t", partition, 5)) for partition in (0, 1))
    await asyncio.sleep(0)
    positions.applied("t", 0, 4)
    positions.recovered({("t", 0)})
    await gone
    assert not here.done()
    assert positions.get("t", 0) == -1  # its records come again
    positions.applied("t", 0, 5)
    await here
