"""`python -m bench.listeners`: what 1,000 listeners of one request cost the work on it, in CPU time a task.

One long request is listened to and left alone in turn, a few seconds each, as a machine's speed changes over minutes by
more than what is looked for.
"""

import asyncio
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from statistics import median

import aiohttp

from bench import load, machine
from tests.service import Service

CALLS = 60_000
REFS = 10
LISTENERS = 1_000
SECONDS = 3.0
ROUNDS = 8


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

    def __init__(self, service: Service, session: aiohttp.ClientSession, where: str) -> None:
        self._service = service
        self._session = session
        self._where = where

    async def cost(self) -> float:
        """Microseconds of the service's CPU time a task, for some seconds."""
        done, cpu = await self._done(), self._cpu()
        await asyncio.sleep(SECONDS)
        return (self._cpu() - cpu) / (await self._done() - done) * 1e6

    async def listened_to(self) -> float:
        """The same with listeners."""
        command = [sys.executable, "-m", "bench.listeners", self._service.url, self._where, str(LISTENERS)]
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        assert process.stdout is not None
        assert await process.stdout.readline()
        try:
            return await self.cost()
        finally:
            process.send_signal(signal.SIGTERM)
            await process.wait()

    async def _done(self) -> int:
        async with self._session.get(self._where) as answer:
            request = await answer.json()
        assert request["status"] == "running", "the request ended before the measurement"
        return int(request["tasks"]["succeeded"])

    def _cpu(self) -> float:
        return machine.cpu_seconds(self._service.pid)


async def measure(service: Service) -> list[tuple[float, float]]:
    """(without, with listeners) for each round."""
    refs = await load.publish(service, REFS)
    call_ids = await load.log_calls(service, "listened", CALLS)
    async with aiohttp.ClientSession(service.url) as session:
        run = Run(service, session, await load.submit(session, call_ids, refs))
        await run.cost()
        return [(await run.cost(), await run.listened_to()) for _ in range(ROUNDS)]


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="callscore-bench-"))
    service = Service(folder / "data")
    try:
        service.start()
        found = asyncio.run(measure(service))
    finally:
        service.kill()
        shutil.rmtree(folder)
    for without, beside in found:
        print(f"{without:.1f} us of CPU a task, {beside:.1f} us with {LISTENERS} listeners")
    more = median(beside / without for without, beside in found) - 1
    print(f"{100 * more:.1f} % more with {LISTENERS} listeners, in the median of {ROUNDS} rounds")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(listen(sys.argv[1], sys.argv[2], int(sys.argv[3])))
    else:
        main()
