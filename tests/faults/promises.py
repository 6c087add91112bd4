"""What a log must hold, given what its appender had been told."""

import asyncio
from pathlib import Path

from app.embedded.log import Log
from tests.faults.appender import GROUP, PARTITIONS, TOPIC, is_whole, value_of


def check(path: Path, acks: list[str]) -> None:
    """Everything acknowledged is in the log, and everything in the log is whole."""

    async def run() -> None:
        log = Log(path)
        log.create_topic(TOPIC, PARTITIONS)
        found = {}
        for partition in range(PARTITIONS):
            offset = 0
            while records := log.read(TOPIC, partition, offset):
                for record in records:
                    assert record.offset == offset
                    assert is_whole(record.value)
                    found[partition, offset] = record.value
                    offset += 1
        places = set()
        for ack in acks:
            kind, *numbers = ack.split()
            if kind == "a":
                partition, offset, number = map(int, numbers)
                assert found[partition, offset] == value_of(number)
                assert (partition, offset) not in places
                places.add((partition, offset))
        committed = [int(ack.split()[1]) for ack in acks if ack[0] == "c"]
        assert (log.committed(GROUP, TOPIC, 0) or 0) >= (committed[-1] if committed else 0)
        assert (await log.append(TOPIC, 0, None, value_of(0))).offset == len([p for p, _ in found if p == 0])
        await log.close()

    asyncio.run(run())
