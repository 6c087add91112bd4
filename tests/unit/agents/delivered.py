"""Records as the log delivers them, read by one agent."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

from app.events import Event
from app.faust_app import app


class Delivered:
    """A record of partition 0, and whether it was acknowledged; of the current generation if not of another."""

    def __init__(self, offset: int, event: Event | None = None, generation: int | None = None) -> None:
        self.acknowledged = False
        self.value = b"{}" if event is None else event.encode()
        self.message = SimpleNamespace(
            topic="topic",
            partition=0,
            offset=offset,
            timestamp=1.0,
            key=b"k",
            value=self.value,
            headers=None,
            generation_id=app.consumer_generation_id if generation is None else generation,
        )

    def ack(self) -> None:
        self.acknowledged = True


class _Stream:
    enable_acks = False

    def __init__(self, records: list[Delivered]) -> None:
        self._records = records
        self.channel = SimpleNamespace(queue=asyncio.Queue[Delivered]())

    def noack(self) -> "_Stream":
        return self

    async def events(self) -> AsyncIterator[Delivered]:
        for record in self._records:
            yield record


async def read(agent: Any, records: list[Delivered]) -> None:
    """Let the agent read these records."""
    await agent.fun(_Stream(records))


async def deliver(agent: Any, *events: tuple[int, Event]) -> list[bool]:
    """Let the agent read events at these offsets; returns which it acknowledges at once."""
    delivered = [Delivered(offset, event) for offset, event in events]
    await read(agent, delivered)
    return [record.acknowledged for record in delivered]
