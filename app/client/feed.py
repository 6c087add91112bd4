"""Reading a blocking iterator from a coroutine, in a thread."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import TypeVar

T = TypeVar("T")


async def feed(items: Iterator[T], ahead: int = 2) -> AsyncIterator[T]:
    """The items of `items`, read at most `ahead` in advance; its errors are raised here.

    The thread is a daemon, so that waiting for input does not keep the process alive.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[T | BaseException | None] = asyncio.Queue()
    room = threading.Semaphore(ahead)
    stop = threading.Event()

    def put(item: T | BaseException | None) -> None:
        if not stop.is_set():
            loop.call_soon_threadsafe(queue.put_nowait, item)

    def read() -> None:
        try:
            for item in items:
                room.acquire()
                if stop.is_set():
                    return
                put(item)
            put(None)
        except Exception as error:
            put(error)

    threading.Thread(target=read, name="feed", daemon=True).start()
    try:
        while (item := await queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
            room.release()
    finally:
        stop.set()
        room.release()
