"""`python -m bench.listeners`: how much of a worker's time 1,000 listeners of one request take.

The request goes on at a few tasks a second, so that there is news for every look at it, and next to nothing else is
done: beside a full load the few per cent that are looked for would be lost in the noise.
"""

import asyncio
import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import aiohttp

from bench import load, machine
from tests.service import Service

CALLS = 1_000
LISTENERS = 1_000
SECONDS = 5.0
SETTLED = 2.0  # seconds after which the worker has seen that they left
ROUNDS = 6


async def listen(url: str, where: str, number: int) -> None:
    """So many listeners, for ever; says when all are there."""
    there = 0

    async def one(session: aiohttp.ClientSession) -> None:
        nonlocal there
        async with session.get(f"{where}/events") as response:
            await response.content.readany()
            there += 1
            if there == number:
                print("all there", flush=True)
            async for _ in response.content.iter_any():
                pass

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(url, connector=connector, timeout=aiohttp.ClientTimeout(None)) as session:
        await asyncio.gather(*(one(session) for _ in range(number)))


class Run:
    """One long request on a service."""

    def __init__(self, service: Service, where: str) -> None:
        self._service = service
        self._where = where

    async def share(self) -> float:
        """How much of a processor the service takes, for some seconds."""
        cpu, since = machine.cpu_seconds(self._service.pid), time.perf_counter()
        await asyncio.sleep(SECONDS)
        return (machine.cpu_seconds(self._service.pid) - cpu) / (time.perf_counter() - since)

    async def share_listened_to(self) -> tuple[float, float]:
        """The same with listeners, and the CPU seconds that it took for all of them to come and to leave."""
        before = machine.cpu_seconds(self._service.pid)
        command = [sys.executable, "-m", "bench.listeners", self._service.url, self._where, str(LISTENERS)]
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        assert process.stdout is not None
        assert await process.stdout.readline()
        came = machine.cpu_seconds(self._service.pid) - before
        share = await self.share()
        before = machine.cpu_seconds(self._service.pid)
        process.terminate()
        await process.wait()
        await asyncio.sleep(SETTLED)
        return share, came + machine.cpu_seconds(self._service.pid) - before


async def measure(service: Service) -> list[tuple[float, float, float]]:
    """(share without, share with listeners, CPU seconds for them to come and leave) for each round."""
    call_ids = await load.log_calls(service, "listened", CALLS)
    async with aiohttp.ClientSession(service.url) as session:
        where = await load.submit(session, call_ids, service.refs("slow"))
        run = Run(service, where)
        await run.share()
        found = [(await run.share(), *await run.share_listened_to()) for _ in range(ROUNDS)]
        async with session.get(where) as answer:
            assert (await answer.json())["status"] == "running", "the request ended before the measurement"
    return found


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="callscore-bench-"))
    service = Service(folder / "data", scorers="bench.slow_scorers", scorer_concurrency=1)
    try:
        service.start()
        found = asyncio.run(measure(service))
    finally:
        service.kill()
        shutil.rmtree(folder)
    for without, beside, came in found:
        print(f"{100 * without:.1f} % of a processor, {100 * beside:.1f} % with listeners, and {came:.2f} s once")
    more = median(beside - without for without, beside, _ in found)
    came = median(came for _, _, came in found)
    each = 1000 * came / LISTENERS
    print(f"{LISTENERS} listeners: {100 * more:.1f} % of a processor, and {each:.2f} ms for one to come and leave")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(listen(sys.argv[1], sys.argv[2], int(sys.argv[3])))
    else:
        main()
