"""A peer to compare with: taskiq with one worker process, on Redis streams."""

import asyncio
import os
import subprocess
import sys
import time
from itertools import product
from pathlib import Path
from typing import Any

import uvloop
from redis.asyncio import Redis
from taskiq.kicker import AsyncKicker
from taskiq_redis import RedisStreamBroker

from bench import load, machine
from bench.peer_broker import DONE, broker_at
from bench.redis_server import Fsync, RedisServer
from bench.workers import Cost

PLACES = 100  # tasks at a time in the worker, its default
CLIENTS = 50  # submit at a time


class Peer:
    """taskiq with its own Redis below `folder`."""

    def __init__(self, folder: Path, fsync: Fsync) -> None:
        self.name = f"taskiq, Redis with fsync {fsync}"
        self._redis = RedisServer(folder / f"redis-{fsync}", fsync)
        self._worker: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Raises RedisMissing."""
        self._redis.start()
        worker = ("worker", "bench.peer_worker:broker", "--workers", "1", "--max-async-tasks", str(PLACES))
        command = (sys.executable, "-m", "taskiq", *worker, "--log-level", "WARNING")
        environment = {**os.environ, "BENCH_REDIS_URL": self._redis.url}
        with (self._redis.folder / "worker.log").open("wb") as log:
            self._worker = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def score(self, prefix: str, calls: int, scorers: int) -> Cost:
        """Run a task for each call of 1 KB and scorer, timed from the first submission until all are counted."""
        assert self._worker is not None
        worker, redis = machine.cpu_seconds(self._worker.pid), self._redis.cpu()
        seconds = uvloop.run(self._score(prefix, calls, scorers))
        used, stored = machine.cpu_seconds(self._worker.pid) - worker, self._redis.cpu() - redis
        return Cost(calls * scorers, seconds, seconds, used, stored)

    async def _score(self, prefix: str, calls: int, scorers: int) -> float:
        broker = broker_at(self._redis.url)
        await broker.startup()
        async with Redis.from_url(self._redis.url) as redis:
            await redis.set(DONE, 0)
            started = time.perf_counter()
            await submit(broker, prefix, calls, scorers)
            while int(await redis.get(DONE)) < calls * scorers:  # noqa: ASYNC110  (Redis has nothing to wait for)
                await asyncio.sleep(load.PAUSE)
            seconds = time.perf_counter() - started
        await broker.shutdown()
        return seconds

    def kill(self) -> None:
        if self._worker is not None:
            self._worker.terminate()
            self._worker.wait()
        self._redis.kill()


async def submit(broker: RedisStreamBroker, prefix: str, calls: int, scorers: int) -> None:
    """Send all tasks, one message each, as is usual with taskiq."""
    tasks = product(range(calls), range(scorers))
    contains: AsyncKicker[..., Any] = AsyncKicker("contains", broker, {})

    async def client() -> None:
        for call, scorer in tasks:
            call_id = f"{prefix}-{call}"
            output = f"{call_id} ".ljust(load.CALL_BYTES, "x")
            await contains.kiq(call_id, output, str(scorer))

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
