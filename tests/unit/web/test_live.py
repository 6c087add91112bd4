"""What a listener of live progress gets if it reads slowly or has disconnected."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from app.web.live import Event, Listener


def event(done: int, status: str = "running") -> Event:
    return Event({"status": status, "tasks": {"succeeded": done}, "finished_at": None})


@pytest.fixture
async def connection() -> AsyncIterator[tuple[asyncio.WriteTransport, socket.socket]]:
    """Our side of a connection, whose peer does not read by itself."""
    ours, peer = socket.socketpair()
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
    yield transport, peer
    transport.close()
    peer.close()


def fill(transport: asyncio.WriteTransport) -> int:
    """Write until the peer's buffers are full; returns how many bytes."""
    written = 0
    while not transport.get_write_buffer_size():
        transport.write(b"." * 4096)
        written += 4096
    return written


async def read(peer: socket.socket, size: int) -> bytes:
    return await asyncio.to_thread(peer.recv, size, socket.MSG_WAITALL)


async def test_a_slow_reader_misses_events_but_never_the_last(
    connection: tuple[asyncio.WriteTransport, socket.socket],
) -> None:
    transport, peer = connection
    listener = Listener(transport, chunked=False, sent=event(0))
    before = fill(transport)
    missed, last = event(1), event(2, "completed")
    listener.send(missed)
    listener.send(last)
    assert await read(peer, before) == b"." * before
    assert await read(peer, len(last.frame)) == last.frame


async def test_a_missed_event_is_sent_when_there_is_room_again(
    connection: tuple[asyncio.WriteTransport, socket.socket],
) -> None:
    transport, peer = connection
    listener = Listener(transport, chunked=False, sent=event(0))
    before, news = fill(transport), event(1)
    listener.send(news)
    await read(peer, before)
    listener.send(news)
    listener.send(news)
    transport.write(b"end")
    assert await read(peer, len(news.frame) + 3) == news.frame + b"end"


async def test_a_listener_that_disconnected_is_done(
    connection: tuple[asyncio.WriteTransport, socket.socket],
) -> None:
    transport, _ = connection
    listener = Listener(transport, chunked=True, sent=event(0))
    transport.close()  # as the event loop does when the peer has
    listener.send(event(1))
    assert listener.done.is_set()
