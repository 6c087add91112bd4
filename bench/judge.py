"""The judge of `bench.judges`: a minimal HTTP server, so that it leaves the cores to callscore.

aiohttp's server takes 0.35 ms a request, so the last of 200 simultaneous requests would be read after 70 ms.
"""

import asyncio
import sys
import time
from pathlib import Path
from typing import Any, cast

import orjson

from tests.judge import Judge, judged

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


class PromptJudge(Judge):
    """Answers each request `seconds` after it was read, however many there are."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.takes = seconds
        self.latest = 0.0  # seconds by which an answer was late, at most

    async def serve(self, folder: Path, at_once: int) -> None:
        """Serve until stdin ends."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", 0, backlog=4096)
        self.port = server.sockets[0].getsockname()[1]
        self.file(folder / "providers.toml", concurrency=at_once)
        print("ready", flush=True)
        await loop.run_in_executor(None, sys.stdin.read)

    def answer(self, body: bytes) -> bytes:
        """The response to a request."""
        asked: dict[str, Any] = orjson.loads(body)
        content = orjson.dumps(self._completion(asked, judged(asked), ""))
        return _HEAD % len(content) + content


class _Connection(asyncio.Protocol):
    """One connection, without pipelining."""

    def __init__(self, judge: PromptJudge) -> None:
        self._judge = judge
        self._loop = asyncio.get_running_loop()  # its clock is the monotonic one
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's transports are not subclasses

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, found, body = self._read.partition(b"\r\n\r\n")
        if not found or len(body) < _length(head):
            return
        self._read = b""
        judge = self._judge
        judge.at_once += 1
        judge.most_at_once = max(judge.most_at_once, judge.at_once)
        # Requests that arrived at the same time are read first: the response to this one is not due yet.
        self._loop.call_soon(self._prepare, body, time.monotonic() + judge.takes)

    def _prepare(self, body: bytes, due: float) -> None:
        self._loop.call_at(due, self._answer, self._judge.answer(body), due)

    def _answer(self, answer: bytes, due: float) -> None:
        self._judge.at_once -= 1
        self._judge.latest = max(self._judge.latest, time.monotonic() - due)
        self._transport.write(answer)


def _length(head: bytes) -> int:
    return int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
