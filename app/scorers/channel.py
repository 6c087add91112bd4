"""Messages between the service and a host (see app/scorers/host_process)."""

import asyncio
import pickle
import struct
from collections.abc import Callable
from time import perf_counter
from typing import Any

_HELD_SECONDS = 0.001
_LENGTH = struct.Struct("<I")

Message = tuple[Any, ...]


class Channel(asyncio.Protocol):
    """Sends and receives tuples over a stream, pickled: both ends run the same code.

    Messages of one turn of the event loop share a write, which costs more than a message. In a long turn there is a
    write each millisecond, so that the other end can begin. Messages wait for the connection if there is none yet.
    """

    def __init__(self, on_message: Callable[[Message], None]) -> None:
        self._on_message = on_message
        self._unsent: list[bytes] = []
        self._scheduled = False
        self._flushed_at = 0.0
        self._transport: Any = None  # uvloop's are not asyncio.Transport
        self._raw = bytearray()
        self.lost: asyncio.Future[None] = (
            asyncio.get_running_loop().create_future()
        )  # resolves when the connection is lost

    def send(self, message: Message) -> None:
        """Send a message at the end of this turn at the latest. Raises whatever pickling it raises."""
        pickled = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        self._unsent += (_LENGTH.pack(len(pickled)), pickled)
        if perf_counter() - self._flushed_at > _HELD_SECONDS:
            self.flush()
        elif not self._scheduled and self._transport is not None:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self.flush)

    def close(self) -> None:
        """End the connection, if there is one."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if not self.lost.done():
            self.lost.set_result(None)

    def data_received(self, data: bytes) -> None:
        self._raw += data
        begin = 0
        with memoryview(self._raw) as raw:
            while (end := _end_of_message(raw, begin)) is not None:
                message = pickle.loads(raw[begin + _LENGTH.size : end])  # noqa: S301
                begin = end
                self._on_message(message)
        del self._raw[:begin]

    def flush(self) -> None:
        """Send now what would be sent at the end of this turn."""
        self._scheduled, self._flushed_at = False, perf_counter()
        if self._unsent and self._transport is not None:
            unsent, self._unsent = self._unsent, []
            self._transport.writelines(unsent)


def _end_of_message(raw: memoryview, begin: int) -> int | None:
    """The end of the message at `begin`; None if it is incomplete."""
    if len(raw) < begin + _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack_from(raw, begin)
    end: int = begin + _LENGTH.size + length
    return end if end <= len(raw) else None
