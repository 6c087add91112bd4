"""A client that puts load on a service over HTTP, and measures."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import aiohttp

from tests.service import Service, complete_call

PROJECT = "bench/project"
PARTITIONS = 8  # as many as a service has by default
CALL_BYTES = 1024  # of an output
PAUSE = 0.02  # seconds between polls


@dataclass(frozen=True)
class Latency:
    """Milliseconds."""

    p50: float
    p99: float


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


async def log_calls(service: Service, prefix: str, number: int, size: int = CALL_BYTES) -> list[str]:
    """Log `number` calls with outputs of `size` bytes, and wait until they are in the tables; returns their ids."""
    ids = [f"{prefix}-{n}" for n in range(number)]
    async with aiohttp.ClientSession(service.url) as session:
        for start in range(0, number, 500):
            calls = [{"id": call_id, "output": f"{call_id} ".ljust(size, "x")} for call_id in ids[start : start + 500]]
            batch = {"batch": [complete_call(PROJECT, call) for call in calls]}
            async with session.post(f"/v2/{PROJECT}/calls/complete", json=batch) as answer:
                answer.raise_for_status()
        await seen(session)
    return ids


async def seen(session: aiohttp.ClientSession) -> None:
    """Wait until all calls that were logged so far are in the tables."""
    while True:
        async with session.get("/calls", params={"project_id": PROJECT, "limit": "1"}) as answer:
            if answer.status == 200:
                return


OfKind = Callable[[int], tuple[str, dict[str, Any]]]  # the kind and parameters of the scorer with a number


def contains(number: int) -> tuple[str, dict[str, Any]]:
    """A scorer that does next to nothing."""
    return "contains", {"text": str(number)}


async def publish(service: Service, number: int, of_kind: OfKind = contains) -> list[str]:
    """Publish `number` scorers, by default ones that do next to nothing; returns their refs."""
    refs = []
    async with aiohttp.ClientSession(service.url) as session:
        for n in range(number):
            kind, params = of_kind(n)
            body = {"name": f"bench-{n}", "kind": kind, "params": params, "project_id": PROJECT}
            async with session.post("/scorers", json=body) as answer:
                answer.raise_for_status()
                refs.append((await answer.json())["ref"])
    return refs


async def submit(session: aiohttp.ClientSession, call_ids: list[str], refs: list[str]) -> str:
    body = {"project_id": PROJECT, "call_ids": call_ids, "scorer_refs": refs}
    async with session.post("/calls/score", json=body) as answer:
        answer.raise_for_status()
        return str(answer.headers["Location"])


async def score(service: Service, call_ids: list[str], refs: list[str], pause: float = PAUSE) -> tuple[float, Any]:
    """Submit once and wait until all tasks are done; returns seconds and the request.

    The request is polled every `pause` seconds, each time with a query of all partitions.
    """
    async with aiohttp.ClientSession(service.url) as session:
        started = time.perf_counter()
        where = await submit(session, call_ids, refs)
        request = await until_ended(session, where, pause)
        return time.perf_counter() - started, request


async def until_ended(session: aiohttp.ClientSession, where: str, pause: float) -> Any:
    """Ask for a request every `pause` seconds until it has ended; returns it."""
    while True:
        async with session.get(where) as answer:
            request = await answer.json()
        if request["status"] != "running":
            return request
        await asyncio.sleep(pause)


def seconds_of(request: Any) -> float:
    """Seconds from when a request was accepted until its last task was done, by the service's clock."""
    since, until = (datetime.fromisoformat(request[name]) for name in ("requested_at", "finished_at"))
    return (until - since).total_seconds()


async def submit_latency(service: Service, refs: list[str], clients: int, each: int, pause: float = 0.0) -> Latency:
    """Latency of submitting 100 call ids × the refs from `clients` clients; the calls are known and scored.

    Each client submits every `pause` seconds, or as soon as it is answered.
    """
    call_ids = await log_calls(service, "latency", 100)
    taken: list[float] = []

    async def client(session: aiohttp.ClientSession, number: int) -> None:
        await asyncio.sleep(pause * number / clients)
        for _ in range(each):
            started = time.perf_counter()
            await submit(session, call_ids, refs)
            taken.append((time.perf_counter() - started) * 1000)
            await asyncio.sleep(max(0.0, started + pause - time.perf_counter()))

    async with aiohttp.ClientSession(service.url, connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(client(session, number) for number in range(clients)))
    return Latency(percentile(taken, 0.5), percentile(taken, 0.99))
