"""`python -m bench.listeners`: what 1,000 listeners of one request cost the work on it, in CPU time a task."""

import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

import aiohttp

from bench import load, machine
from tests.service import Service

TASKS = 100_000
LISTENERS = 1_000
REFS = 10
ROUNDS = 3


async def listen(url: str, where: str, number: int) -> None:
    """So many listeners, until all have heard the end."""

    async def one(session: aiohttp.ClientSession) -> None:
        async with session.get(f"{where}/events") as response:
            async for _ in response.content.iter_any():
                pass

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(url, connector=connector, timeout=aiohttp.ClientTimeout(None)) as session:
        await asyncio.gather(*(one(session) for _ in range(number)))


async def cost(service: Service, refs: list[str], name: str, listeners: int) -> float:
    """Microseconds of the service's CPU time a task."""
    call_ids = await load.log_calls(service, name, TASKS // REFS)
    cpu = machine.cpu_seconds(service.pid)
    async with aiohttp.ClientSession(service.url) as session:
        where = await load.submit(session, call_ids, refs)
    command = [sys.executable, "-m", "bench.listeners", service.url, where, str(max(listeners, 1))]
    process = await asyncio.create_subprocess_exec(*command)
    assert await process.wait() == 0
    return (machine.cpu_seconds(service.pid) - cpu) / TASKS * 1e6


async def measure(service: Service) -> dict[int, list[float]]:
    refs = await load.publish(service, REFS)
    await cost(service, refs, "warm", 1)
    found: dict[int, list[float]] = {1: [], LISTENERS: []}
    for number in range(ROUNDS):
        for listeners, costs in found.items():
            costs.append(round(await cost(service, refs, f"{number}-{listeners}", listeners), 1))
    return found


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="callscore-bench-"))
    service = Service(folder / "data")
    try:
        service.start()
        found = asyncio.run(measure(service))
    finally:
        service.kill()
        shutil.rmtree(folder)
    for listeners, costs in found.items():
        print(f"{listeners} listeners: {min(costs)} us of CPU a task at best, of {costs}")
    print(f"{100 * (min(found[LISTENERS]) / min(found[1]) - 1):.1f} % more with {LISTENERS}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(listen(sys.argv[1], sys.argv[2], int(sys.argv[3])))
    else:
        main()
