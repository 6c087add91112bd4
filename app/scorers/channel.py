"""Messages between the service and a host (see app/scorers/hosts)."""

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
    """Sends and receives tuples over a stream, pickled: its two ends run the same code.

    What is sent in one turn of the event loop goes out together, since a write costs more than a message in it, but in
    a long turn a millisecond's at a time: the other end begins with it while this one goes on. What is sent before
    there is a connection waits for it.
    """

    def __init__(self, received: Callable[[Message], None]) -> None:
        """`received` is called with each message that comes."""
        self._received = received
        self._unsent: list[bytes] = []
        self._scheduled = False
        self._flushed_at = 0.0
        self._transport: Any = None  # uvloop's are no asyncio.Transport
        self._raw = bytearray()
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()  # resolves when it is

    def send(self, message: Message) -> None:
        """Send a message, at the end of this turn at the latest. Raises whatever pickling it raises."""
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
                self._received(message)
        del self._raw[:begin]

    def flush(self) -> None:
        """Send what is to be sent now, and not a round of the event loop later."""
        self._scheduled, self._flushed_at = False, perf_counter()
        if self._unsent and self._transport is not None:
            unsent, self._unsent = self._unsent, []
            self._transport.writelines(unsent)


def _end_of_message(raw: memoryview, begin: int) -> int | None:
    """Where the message ends that begins there; None if it is not all there."""
    if len(raw) < begin + _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack_from(raw, begin)
    end: int = begin + _LENGTH.size + length
    return end if end <= len(raw) else None
