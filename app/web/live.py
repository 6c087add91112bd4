"""`GET /score-requests/{id}/events`: the progress of a request, as server-sent events.

All listeners of a request on this worker share its snapshots. Each is encoded once, and its bytes are written straight
to their connections: waking a coroutine for each would cost ten times as much. The protocol takes a dozen lines here; a
library would encode once for each listener.
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

SHORTEST = 0.25  # seconds between two events: with the first one, at most 5 in any second
_LONGEST = 1.0
_SHARE = 0.02  # of this worker's time that snapshots may take
_QUIET = 15.0  # seconds without an event, after which a comment shows that the connection works
_FIRST_SECONDS = 10.0  # until the first event, at most
_RECONNECT_MS = 500
_NOTHING_NEW = b": nothing new\n\n"


class Event:
    """An encoded snapshot. Its id is a hash of what all workers agree on, which leaves out its rate and eta."""

    def __init__(self, described: dict[str, Any]) -> None:
        self.last = described["status"] != "running"
        identity = encode([described["status"], described["tasks"], described["finished_at"]])
        self.id = hashlib.blake2b(identity, digest_size=8).hexdigest()
        self.frame = b"id: %s\ndata: %s\n\n" % (self.id.encode(), encode(described))
        self.chunk = _chunk(self.frame)


def _chunk(data: bytes) -> bytes:
    """A chunk of a chunked HTTP/1.1 body (RFC 9112, section 7.1)."""
    return b"%x\r\n%s\r\n" % (len(data), data)


class Listener:
    """A client whose response has begun. `done` is set after the last event, or once the client has disconnected."""

    def __init__(self, transport: asyncio.WriteTransport, chunked: bool, sent: Event) -> None:
        self.done = asyncio.Event()
        self._transport = transport
        self._chunked = chunked
        self._sent = sent

    def send(self, event: Event) -> None:
        """Send an event, unless it was sent before. A slow reader misses some events, but never the last."""
        if self._transport.is_closing():
            self.done.set()
        elif event is not self._sent and (event.last or not self._transport.get_write_buffer_size()):
            self._sent = event
            self._transport.write(event.chunk if self._chunked else event.frame)

    def keep_alive(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(_chunk(_NOTHING_NEW) if self._chunked else _NOTHING_NEW)


class Watch:
    """Polls one request for all of its listeners, until the request is finished or the tables cannot answer."""

    def __init__(self, header: RequestAccepted) -> None:
        self.users = 0
        self.ended = False
        self._header = header
        self._event: Event | None = None
        self._first_poll = asyncio.Event()
        self._listeners: set[Listener] = set()
        self._sent_at = time.monotonic()
        self._task = asyncio.create_task(self._poll_for_ever())

    async def first(self) -> Event:
        """The current event. Raises Unavailable if the tables cannot answer, or not in time."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._first_poll.wait(), _FIRST_SECONDS)
        if self._event is None:
            raise cluster.Unavailable("the tables cannot answer for all partitions now")
        return self._event

    async def serve(self, listener: Listener) -> None:
        """Send events to a listener until the last one, or until it has disconnected."""
        if self._event is not None:
            listener.send(self._event)
        if not self.ended:
            self._listeners.add(listener)
            try:
                await listener.done.wait()
            finally:
                self._listeners.discard(listener)

    def end(self) -> None:
        self._task.cancel()
        self._end()

    async def _poll_for_ever(self) -> None:
        try:
            while not self.ended:
                began, cpu = time.monotonic(), time.thread_time()
                await self._poll()
                cost = time.thread_time() - cpu
                pause = max(SHORTEST, min(cost / _SHARE, _LONGEST))
                await asyncio.sleep(began + pause - time.monotonic())
        except cluster.Unavailable as reason:
            log.info("live progress has ended: %s", reason)
        finally:
            self._end()

    async def _poll(self) -> None:
        with cluster.noting() as missing:
            (described,) = await describe_all([self._header], time.time())
        if not missing:  # otherwise the counts lack those of a worker that did not answer
            self._take(Event(described))
        self._send_to_all()

    def _take(self, event: Event) -> None:
        if self._event is None or self._event.id != event.id:
            self._event, self._sent_at = event, time.monotonic()
            self._first_poll.set()

    def _send_to_all(self) -> None:
        if self._event is None:
            return  # listeners wait for the first one
        for listener in self._listeners:
            listener.send(self._event)
        if time.monotonic() > self._sent_at + _QUIET:
            self._sent_at = time.monotonic()
            for listener in self._listeners:
                listener.keep_alive()
        if self._event.last:
            self._end()

    def _end(self) -> None:
        self.ended = True
        self._first_poll.set()
        for listener in self._listeners:
            listener.done.set()


class Live:
    """The watches of this worker, by request id."""

    def __init__(self) -> None:
        self._watches: dict[str, Watch] = {}

    def join(self, header: RequestAccepted) -> Watch:
        """The watch of a request, for one more user, who must `leave` it."""
        request_id = header.request_id
        watch = self._watches.get(request_id)
        if watch is None or watch.ended:
            watch = self._watches[request_id] = Watch(header)
        watch.users += 1
        return watch

    def leave(self, request_id: str, watch: Watch) -> None:
        watch.users -= 1
        if watch.users == 0:
            watch.end()
            if self._watches.get(request_id) is watch:
                del self._watches[request_id]

    async def close(self, _: web.Application) -> None:
        """End all streams; their clients reconnect to another worker."""
        for watch in self._watches.values():
            watch.end()


LIVE: web.AppKey[Live] = web.AppKey("live", Live)


async def watch_request(request: web.Request) -> web.StreamResponse:
    """A snapshot whenever the request has changed, at most 5 a second; the stream ends with the last one.

    A client that reconnects with the id of the last one gets 204, upon which browsers stop reconnecting.
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
    with suppress(ConnectionResetError):  # the client has disconnected
        await response.prepare(request)
        beginning = b"retry: %d\n\n" % _RECONNECT_MS
        await response.write(beginning if event.id == seen else beginning + event.frame)
        if request.transport is not None:
            await watch.serve(Listener(request.transport, request.version >= HttpVersion11, event))
        await response.write_eof()
    return response
