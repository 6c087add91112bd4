"""`python -m bench.embedded_log`: the embedded log alone, on this disk: appends, and appends while it is cleaned."""

import asyncio
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from app.embedded.log import Log
from bench.load import Latency, percentile
from bench.machine import facts, fdatasync_p50_ms

PARTITIONS = 8
VALUE = bytes(512)
CLIENTS = 64
SECONDS = 5.0
ROUNDS = 5
DIRTY = 500_000
KEYS = 100_000


async def appends(log: Log, clients: int, seconds: float) -> list[float]:
    """The milliseconds that each append took, while so many clients each waited for their last one."""
    taken: list[float] = []
    end = time.perf_counter() + seconds

    async def client(number: int) -> None:
        started = time.perf_counter()
        while started < end:
            await log.append("calls", number % PARTITIONS, b"%d" % number, VALUE)
            now = time.perf_counter()
            taken.append((now - started) * 1000)
            started = now

    await asyncio.gather(*(client(number) for number in range(clients)))
    return taken


def latency(taken: list[float]) -> Latency:
    return Latency(round(percentile(taken, 0.5), 3), round(percentile(taken, 0.99), 2))


async def dirty(log: Log, records: int, keys: int) -> None:
    """Write a changelog in which each key is written over several times."""
    log.create_topic("rows", PARTITIONS, {"cleanup.policy": "compact"})
    for number in range(records):
        key = number * 7919 % keys
        log.append("rows", key % PARTITIONS, b"project\0call-%08d\0ref" % key, VALUE)
        if number % 2_000 == 0:
            await log.flush()
    await log.flush()


async def measure_appends(log: Log) -> dict[str, object]:
    """One client and many, next to what the disk takes for a sync at the same time."""
    sync = [fdatasync_p50_ms()]
    lone = latency(await appends(log, 1, SECONDS))
    sync.append(fdatasync_p50_ms())
    taken = await appends(log, CLIENTS, SECONDS)
    many = latency(taken)
    sync.append(fdatasync_p50_ms())
    bare = sorted(sync)[1]
    return {
        "fdatasync_p50_ms": round(bare, 3),
        "lone_p50_ms": lone.p50,
        "lone_p50_in_syncs": round(lone.p50 / bare, 2),
        "lone_p99_ms": lone.p99,
        f"appends_per_second_{CLIENTS}_clients": round(len(taken) / SECONDS),
        f"p50_ms_{CLIENTS}_clients": many.p50,
        f"p99_ms_{CLIENTS}_clients": many.p99,
    }


async def measure_cleaning(log: Log) -> dict[str, object]:
    """The latency of appends with nothing to clean, and while a changelog is cleaned."""
    await dirty(log, DIRTY, KEYS)
    found: dict[str, object] = {}
    for clients in (1, CLIENTS):
        idle: list[float] = []
        busy: list[float] = []
        for _ in range(ROUNDS):  # by turns, since a disk has its moods
            idle += await appends(log, clients, SECONDS / ROUNDS)
            cleaning = asyncio.ensure_future(log.clean())
            busy += await appends(log, clients, SECONDS / ROUNDS)
            assert not cleaning.done(), "there was too little to clean"
            cleaning.cancel()
        found[f"cleaning_{clients}_clients"] = {
            "p50_ms": [latency(idle).p50, latency(busy).p50],
            "p99_ms": [latency(idle).p99, latency(busy).p99],
            "appends_per_second": [round(len(idle) / SECONDS), round(len(busy) / SECONDS)],
        }
    started = time.perf_counter()
    stats = await log.compact("rows")
    found["compacted"] = {
        "looked_at": stats.looked_at,
        "removed": stats.removed,
        "looked_at_per_second": round(stats.looked_at / (time.perf_counter() - started)),
    }
    return found


async def measure(folder: Path) -> dict[str, object]:
    log = Log(folder)
    log.create_topic("calls", PARTITIONS)
    await log.flush()
    try:
        return {"machine": facts(), **await measure_appends(log), **await measure_cleaning(log)}
    finally:
        await log.close()


def main() -> int:
    folder = Path(tempfile.mkdtemp(prefix="callscore-bench-"))
    try:
        print(json.dumps(uvloop.run(measure(folder)), indent=2))
    finally:
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
