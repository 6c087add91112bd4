"""`GET /score-requests/{id}/events`: how a request stands, as server-sent events.

All who listen to a request on this worker share one look at it and the bytes that tell it, so that a listener costs no
more than a write. The protocol is a dozen lines, which a library would do once for each listener.
"""

import asyncio
import hashlib
import logging
import time
from contextlib import suppress
from typing import Any

from aiohttp import web

from app import cluster
from app.web.progress import describe_all
from app.web.queries import Query, parse
from app.web.requests import find_header
from app.web.responses import encode

log = logging.getLogger(__name__)

SHORTEST = 0.25  # seconds between two events, so that with the one at the beginning there are 5 a second
_LONGEST = 1.0
_SHARE = 0.02  # of this worker's time that looking may take
_EACH = 0.001  # seconds between two events more for each listener
_QUIET = 15.0  # seconds after which a comment shows that the stream lives
_RECONNECT_MS = 500


class Event:
    """A snapshot, ready to be sent. Its id is made of what it says but for times, so that all workers agree on it."""

    def __init__(self, described: dict[str, Any]) -> None:
        self.last = described["status"] != "running"
        told = encode([described["status"], described["tasks"], described["finished_at"]])
        self.id = hashlib.blake2b(told, digest_size=8).hexdigest()
        self.frame = b"id: %s\ndata: %s\n\n" % (self.id.encode(), encode(described))


class Watch:
    """The looks at one request for all who listen to it; it ends with the request, or when the tables cannot answer."""

    def __init__(self, header: dict[str, Any]) -> None:
        self.listeners = 0
        self.event: Event | None = None
        self.ended = False
        self._header = header
        self._news = asyncio.Event()
        self._task = asyncio.create_task(self._look_for_ever())

    async def news(self, known: Event | None) -> Event | None:
        """The next event that is not `known`; None if nothing will come, or has come for some time.

        Waits for it, or for the end of the watch.
        """
        if self.event is known and not self.ended:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), _QUIET)
        return self.event if self.event is not known else None

    def end(self) -> None:
        self._task.cancel()
        self._wake(ended=True)

    async def _look_for_ever(self) -> None:
        try:
            while not self.ended:
                began, cpu = time.monotonic(), time.thread_time()
                await self._look()
                cost = time.thread_time() - cpu
                pause = max(SHORTEST, self.listeners * _EACH, min(cost / _SHARE, _LONGEST))
                await asyncio.sleep(began + pause - time.monotonic())
        except cluster.Unavailable as reason:
            log.info("live progress ends here: %s", reason)
        finally:
            self._wake(ended=True)

    async def _look(self) -> None:
        missing: set[int] = set()
        cluster.unanswered.set(missing)
        (described,) = await describe_all([self._header], time.time())
        if missing:
            return  # a worker did not answer: its part of the numbers is not known
        event = Event(described)
        if self.event is None or self.event.id != event.id:
            self.event = event
            self._wake(ended=event.last)

    def _wake(self, ended: bool) -> None:
        self.ended = self.ended or ended
        news, self._news = self._news, asyncio.Event()
        news.set()


class Live:
    """The watches of this worker, by request id."""

    def __init__(self) -> None:
        self._watches: dict[str, Watch] = {}

    def join(self, header: dict[str, Any]) -> Watch:
        """The watch of a request, for one more listener, who must `leave` it."""
        request_id = header["request_id"]
        watch = self._watches.get(request_id)
        if watch is None or watch.ended:
            watch = self._watches[request_id] = Watch(header)
        watch.listeners += 1
        return watch

    def leave(self, request_id: str, watch: Watch) -> None:
        watch.listeners -= 1
        if watch.listeners == 0:
            watch.end()
            if self._watches.get(request_id) is watch:
                del self._watches[request_id]

    async def close(self, _: web.Application) -> None:
        """End all streams: who listened will ask another worker."""
        for watch in self._watches.values():
            watch.end()


LIVE: web.AppKey[Live] = web.AppKey("live", Live)


async def watch_request(request: web.Request) -> web.StreamResponse:
    """Snapshots of a request whenever it has changed, at most 5 a second; the stream ends with the last one.

    Who comes back with the id of the last one has nothing to wait for: 204, at which browsers stop asking.
    """
    parse(Query, request)
    header = await find_header(request)
    watch = request.app[LIVE].join(header)
    try:
        return await _stream(request, watch)
    finally:
        request.app[LIVE].leave(header["request_id"], watch)


async def _stream(request: web.Request, watch: Watch) -> web.StreamResponse:
    seen = request.headers.get("Last-Event-ID")
    event = await watch.news(None)
    if event is None:
        raise cluster.Unavailable("the tables cannot answer for all partitions now")
    if event.last and event.id == seen:
        return web.Response(status=204)
    response = web.StreamResponse(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
    response.content_type = "text/event-stream"
    await response.prepare(request)
    await response.write(b"retry: %d\n\n" % _RECONNECT_MS)
    if event.id != seen:
        await response.write(event.frame)
    sent = event
    while not watch.ended or watch.event is not sent:
        news = await watch.news(sent)
        if news is not None:
            sent = news
            await response.write(news.frame)
        elif not watch.ended:
            await response.write(b": nothing new\n\n")
    await response.write_eof()
    return response
