"""`GET /score-requests/{id}/events`: how a request stands, as server-sent events.

All who listen to a request on this worker share one look at it and the bytes that tell it, which are written straight
to their connections: to wake a coroutine for each would cost ten times as much. The protocol is a dozen lines, which a
library would do once for each listener.
"""

import asyncio
import hashlib
import logging
import time
from contextlib import suppress
from typing import Any

from aiohttp import HttpVersion11, web

from app import cluster
from app.events import RequestAccepted
from app.web.progress import describe_all
from app.web.queries import Query, parse
from app.web.requests import find_header
from app.web.responses import encode

log = logging.getLogger(__name__)

SHORTEST = 0.25  # seconds between two events, so that with the one at the beginning there are 5 a second
_LONGEST = 1.0
_SHARE = 0.02  # of this worker's time that looking and telling may take
_QUIET = 15.0  # seconds after which a comment shows that the stream lives
_FIRST_SECONDS = 10.0  # that the first event may take
_RECONNECT_MS = 500
_NOTHING_NEW = b": nothing new\n\n"


class Event:
    """A snapshot, ready to be sent. Its id is made of what it says but for times, so that all workers agree on it."""

    def __init__(self, described: dict[str, Any]) -> None:
        self.last = described["status"] != "running"
        told = encode([described["status"], described["tasks"], described["finished_at"]])
        self.id = hashlib.blake2b(told, digest_size=8).hexdigest()
        self.frame = b"id: %s\ndata: %s\n\n" % (self.id.encode(), encode(described))
        self.chunk = _chunk(self.frame)


def _chunk(data: bytes) -> bytes:
    """As HTTP/1.1 frames a part of a body whose length is not known (RFC 9112, section 7.1)."""
    return b"%x\r\n%s\r\n" % (len(data), data)


class Listener:
    """One who listens, from when the response has begun; `done` when there is no more to tell, or nobody to tell it."""

    def __init__(self, transport: asyncio.WriteTransport, chunked: bool, knows: Event) -> None:
        self.done = asyncio.Event()
        self._transport = transport
        self._chunked = chunked
        self._knows = knows

    def tell(self, event: Event) -> None:
        """Send an event, unless it is known. Who reads slowly misses some, never the last."""
        if self._transport.is_closing():
            self.done.set()
        elif event is not self._knows and (event.last or not self._transport.get_write_buffer_size()):
            self._knows = event
            self._transport.write(event.chunk if self._chunked else event.frame)

    def keep_alive(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(_chunk(_NOTHING_NEW) if self._chunked else _NOTHING_NEW)


class Watch:
    """The looks at one request for all who listen to it; it ends with the request, or when the tables cannot answer."""

    def __init__(self, header: RequestAccepted) -> None:
        self.interested = 0
        self.ended = False
        self._header = header
        self._event: Event | None = None
        self._first_look = asyncio.Event()
        self._listeners: set[Listener] = set()
        self._told_at = time.monotonic()
        self._task = asyncio.create_task(self._look_for_ever())

    async def first(self) -> Event:
        """How the request stands. Raises Unavailable, also if that takes long."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._first_look.wait(), _FIRST_SECONDS)
        if self._event is None:
            raise cluster.Unavailable("the tables cannot answer for all partitions now")
        return self._event

    async def tell(self, listener: Listener) -> None:
        """Tell a listener what comes, until the end or until it is gone."""
        if self._event is not None:
            listener.tell(self._event)
        if not self.ended:
            self._listeners.add(listener)
            try:
                await listener.done.wait()
            finally:
                self._listeners.discard(listener)

    def end(self) -> None:
        self._task.cancel()
        self._end()

    async def _look_for_ever(self) -> None:
        try:
            while not self.ended:
                began, cpu = time.monotonic(), time.thread_time()
                await self._look()
                cost = time.thread_time() - cpu
                pause = max(SHORTEST, min(cost / _SHARE, _LONGEST))
                await asyncio.sleep(began + pause - time.monotonic())
        except cluster.Unavailable as reason:
            log.info("live progress ends here: %s", reason)
        finally:
            self._end()

    async def _look(self) -> None:
        with cluster.noting() as missing:
            (described,) = await describe_all([self._header], time.time())
        if not missing:  # else a worker did not answer: its part of the numbers is not known
            self._take(Event(described))
        self._tell_all()

    def _take(self, event: Event) -> None:
        if self._event is None or self._event.id != event.id:
            self._event, self._told_at = event, time.monotonic()
            self._first_look.set()

    def _tell_all(self) -> None:
        if self._event is None:
            return  # nobody listens before there is one
        for listener in self._listeners:
            listener.tell(self._event)
        if time.monotonic() > self._told_at + _QUIET:
            self._told_at = time.monotonic()
            for listener in self._listeners:
                listener.keep_alive()
        if self._event.last:
            self._end()

    def _end(self) -> None:
        self.ended = True
        self._first_look.set()
        for listener in self._listeners:
            listener.done.set()


class Live:
    """The watches of this worker, by request id."""

    def __init__(self) -> None:
        self._watches: dict[str, Watch] = {}

    def join(self, header: RequestAccepted) -> Watch:
        """The watch of a request, for one more who is interested, who must `leave` it."""
        request_id = header.request_id
        watch = self._watches.get(request_id)
        if watch is None or watch.ended:
            watch = self._watches[request_id] = Watch(header)
        watch.interested += 1
        return watch

    def leave(self, request_id: str, watch: Watch) -> None:
        watch.interested -= 1
        if watch.interested == 0:
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
        request.app[LIVE].leave(header.request_id, watch)


async def _stream(request: web.Request, watch: Watch) -> web.StreamResponse:
    seen = request.headers.get("Last-Event-ID")
    event = await watch.first()
    if event.last and event.id == seen:
        return web.Response(status=204)
    response = web.StreamResponse(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
    response.content_type = "text/event-stream"
    with suppress(ConnectionResetError):  # it has gone, and there is nobody to tell that
        await response.prepare(request)
        beginning = b"retry: %d\n\n" % _RECONNECT_MS
        await response.write(beginning if event.id == seen else beginning + event.frame)
        if request.transport is not None:
            await watch.tell(Listener(request.transport, request.version >= HttpVersion11, event))
        await response.write_eof()
    return response
