"""The latency of reading a score by key, while the worker is idle or scores, and while a scorer computes."""

import asyncio
import time
from collections.abc import Coroutine
from pathlib import Path
from random import Random
from typing import Any

import aiohttp

from bench import load
from bench.load import percentile
from bench.workers import Workers, rounded
from kafka.cluster import Cluster

CALLS, REFS = 5_000, 10  # of the requests that keep the worker busy
WARM_CALLS = 200
PAUSE = 0.005  # seconds between two reads
QUIET_READS = 500


def reading(kafka: Cluster | None, folder: Path) -> list[dict[str, Any]]:
    """On a worker that is idle, that scores, whose scorer computes, and that does both."""
    workers = Workers(kafka, folder, scorers="bench.busy_scorers")
    try:
        workers.start()
        refs = workers.publish(REFS)
        workers.score("warm", WARM_CALLS, refs)
        return asyncio.run(measure(workers, refs))
    finally:
        workers.kill()


async def measure(workers: Workers, refs: list[str]) -> list[dict[str, Any]]:
    [service] = workers.all
    async with aiohttp.ClientSession(service.url) as session:
        reader = Reader(session, [f"warm-{n}" for n in range(WARM_CALLS)], refs)
        first, second = [await load.log_calls(service, name, CALLS) for name in ("alone", "beside")]
        rows = [row("nothing", await reader.quiet())]
        rows.append(row("scoring", *await reader.during(load.score(service, first, refs, pause=1.0))))
        await load.submit(session, first, service.refs("busy"))  # more than it can finish during the measurement
        await asyncio.sleep(3)  # until its processes have started
        rows.append(row("a scorer computes", await reader.quiet()))
        rows.append(row("both", *await reader.during(load.score(service, second, refs, pause=1.0))))
    return rows


class Reader:
    """A client that reads one score after another; times are in milliseconds."""

    def __init__(self, session: aiohttp.ClientSession, call_ids: list[str], refs: list[str]) -> None:
        self._session = session
        self._call_ids, self._refs = call_ids, refs
        self._random = Random(1)

    async def quiet(self) -> list[float]:
        """The times of some reads while the client submits nothing."""
        return [await self._read() for _ in range(QUIET_READS)]

    async def during(self, scoring: Coroutine[Any, Any, tuple[float, Any]]) -> tuple[list[float], Any]:
        """The times of reads until `scoring` ends, and its request."""
        task = asyncio.ensure_future(scoring)
        taken = []
        while not task.done():
            taken.append(await self._read())
        return taken, (await task)[1]

    async def _read(self) -> float:
        await asyncio.sleep(PAUSE)
        key = {"call_id": self._random.choice(self._call_ids), "scorer_ref": self._random.choice(self._refs)}
        started, found = time.perf_counter(), await self._page(key)
        while not found["items"]:  # a busy worker may answer with an empty page and a cursor
            found = await self._page({**key, "cursor": found["next_cursor"]})
        return (time.perf_counter() - started) * 1000

    async def _page(self, key: dict[str, str]) -> Any:
        async with self._session.get("/scores", params={"project_id": load.PROJECT, **key}) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()


def row(beside: str, taken: list[float], request: Any = None) -> dict[str, Any]:
    return rounded(
        beside=beside,
        reads=len(taken),
        p50_ms=percentile(taken, 0.5),
        p99_ms=percentile(taken, 0.99),
        tasks_per_second=0 if request is None else round(request["tasks"]["succeeded"] / load.seconds_of(request)),
    )
