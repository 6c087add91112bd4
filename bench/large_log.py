"""Measure the memory of a process with a log of many GB: `python -m bench.large_log [GB]`."""

import asyncio
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from random import Random

import uvloop

from app.embedded.log import Log
from bench.machine import memory_mb

PARTITIONS = 8
VALUE_BYTES = 4096
SAMPLES = 16  # of memory, in each part
GB = 1024**3


class Curve:
    """Samples of resident memory in MB, at even steps of the work."""

    def __init__(self, total: int) -> None:
        self._step = max(1, total // SAMPLES)
        self._next = self._step
        self._started = time.perf_counter()
        self.points: list[int] = []

    def at(self, done: int) -> None:
        if done >= self._next:
            self._next += self._step
            self.points.append(round(memory_mb(os.getpid(), peak=False)))

    def result(self, gigabytes: float) -> dict[str, object]:
        seconds = time.perf_counter() - self._started
        return {"rss_mb": self.points, "mb_per_second": round(gigabytes * 1024 / seconds)}


async def write(log: Log, records: int) -> Curve:
    """Append incompressible records, to a topic that is kept whole and to one that is compacted."""
    random, curve = Random(1), Curve(records)
    for number in range(records):
        topic = "calls" if number % 2 else "rows"
        log.append(topic, number // 2 % PARTITIONS, b"key-%d" % (number // 3), random.randbytes(VALUE_BYTES))
        if number % 500 == 0:
            await log.flush()
        curve.at(number)
    await log.flush()
    return curve


async def read(log: Log, records: int) -> Curve:
    """Read the whole log, a megabyte at a time."""
    curve, found = Curve(records), 0
    for topic in ("calls", "rows"):
        for partition in range(PARTITIONS):
            offset = 0
            while batch := log.read(topic, partition, offset):
                found += len(batch)
                offset = batch[-1].offset + 1
                curve.at(found)
                await asyncio.sleep(0)
    assert found == records, (found, records)
    return curve


async def compact(log: Log, records: int) -> Curve:
    """Compact one of the two topics."""
    curve = Curve(SAMPLES)
    task = asyncio.ensure_future(log.compact("rows"))
    for number in range(SAMPLES):
        curve.at(number)
        await asyncio.wait([task], timeout=2)
    await task
    return curve


async def measure(folder: Path, gigabytes: float) -> dict[str, object]:
    records = int(gigabytes * GB / VALUE_BYTES)
    log = Log(folder)
    for topic, config in (("calls", {}), ("rows", {"cleanup.policy": "compact"})):
        log.create_topic(topic, PARTITIONS, config)
    found: dict[str, object] = {"gb": gigabytes, "rss_mb_before": round(memory_mb(os.getpid(), peak=False))}
    try:
        for name, work in (("write", write), ("read", read), ("compact", compact)):
            found[name] = (await work(log, records)).result(gigabytes)
    finally:
        await log.close()
    found["peak_rss_mb"] = round(memory_mb(os.getpid(), peak=True))
    return found


def main() -> int:
    folder = Path(tempfile.mkdtemp(prefix="callscore-bench-"))
    try:
        print(json.dumps(uvloop.run(measure(folder, float(sys.argv[1]) if len(sys.argv) > 1 else 4)), indent=2))
    finally:
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
