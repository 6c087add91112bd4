"""The time until a submission is accepted, at which all of it is durable."""

import asyncio
import time
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp

from bench import load
from bench.workers import Workers, rounded
from kafka.cluster import Cluster
from tests.service import Service

# (clients, submissions of each, seconds between them)
CLIENTS = ((1, 300, 0.0), (64, 20, 1.0), (64, 30, 0.0))
LARGE_CALLS, LARGE_REFS = 100_000, 10
ROUNDS = 3


def submitting(kafka: Cluster | None, folder: Path) -> dict[str, Any]:
    """Small requests from one client and from many, and large ones."""
    workers = Workers(kafka, folder)
    try:
        workers.start()
        [service] = workers.all
        return {
            "submit_100_ids_x_3": small(service),
            "accept_100000_ids_x_10": asyncio.run(large(service, workers.publish(LARGE_REFS))),
        }
    finally:
        workers.kill()


def small(service: Service) -> list[dict[str, Any]]:
    """100 call ids × 3. Clients without a pause keep the worker busy; those with one are more realistic."""
    refs = service.refs("not_empty", "valid_json", "refusal")
    asyncio.run(load.submit_latency(service, refs, 1, 50))
    rows = []
    for clients, each, pause in CLIENTS:
        latency = asyncio.run(load.submit_latency(service, refs, clients, each, pause))
        rows.append(rounded(clients=clients, pause_s=pause, p50_ms=latency.p50, p99_ms=latency.p99))
    return rows


async def large(service: Service, refs: list[str]) -> dict[str, Any]:
    """100,000 call ids × 10, cancelled as soon as it is accepted."""
    call_ids = await load.log_calls(service, "large", LARGE_CALLS, size=16)
    taken = []
    async with aiohttp.ClientSession(service.url) as session:
        for _ in range(ROUNDS):
            started = time.perf_counter()
            where = await load.submit(session, call_ids, refs)
            taken.append(time.perf_counter() - started)
            await cancel(session, where)
    return rounded(seconds=median(taken), slowest=max(taken))


async def cancel(session: aiohttp.ClientSession, where: str) -> None:
    """Cancel a request, and wait until it has ended."""
    async with session.post(f"{where}/cancel") as answer:
        answer.raise_for_status()
    await load.until_ended(session, where, pause=0.2)
