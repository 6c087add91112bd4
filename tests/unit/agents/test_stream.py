"""Records are taken in turns, and one of an earlier assignment is neither handled nor acknowledged."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from agents import stream
from app.faust_app import app
from tests.unit.agents.delivered import Delivered

CURRENT, EARLIER = 2, 1  # generations


class Stream:
    """One that has delivered several records at once."""

    def __init__(self, records: list[Delivered], enable_acks: bool) -> None:
        self.enable_acks = enable_acks
        self.channel = SimpleNamespace(queue=asyncio.Queue[Delivered]())
        for record in records:
            self.channel.queue.put_nowait(record)

    async def events(self) -> AsyncIterator[Delivered]:
        yield self.channel.queue.get_nowait()


@pytest.fixture
def tracked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The offsets of the records that the consumer was told to wait for."""
    offsets: list[int] = []
    consumer = SimpleNamespace(track_message=lambda message: offsets.append(message.offset))
    monkeypatch.setattr(app, "_consumer", consumer)
    monkeypatch.setattr(app, "consumer_generation_id", CURRENT)
    monkeypatch.setattr(app, "flow_control", SimpleNamespace(is_active=lambda: True))
    monkeypatch.setattr(stream, "pace", lambda: SimpleNamespace(turn=60.0))
    return offsets


@pytest.mark.parametrize("enable_acks", [True, False])
async def test_a_turn_takes_what_was_delivered_in_this_assignment_and_acknowledges_what_was_handled(
    tracked: list[int], enable_acks: bool
) -> None:
    records = [
        Delivered(0, generation=CURRENT),
        Delivered(1, generation=CURRENT),
        Delivered(2, generation=EARLIER),
        Delivered(3, generation=CURRENT),
    ]
    source: Any = Stream(records, enable_acks)
    handled = []
    async for record in stream.each(source):
        handled.append(record.at.offset)
        assert not any(one.acknowledged for one in records[record.at.offset :])
    assert (handled, tracked) == ([0, 1, 3], [1, 3])  # Faust itself tracks and acknowledges the first
    assert [one.acknowledged for one in records[1:]] == [enable_acks, False, enable_acks]


@pytest.mark.usefixtures("tracked")
def test_a_record_is_acknowledged_only_in_the_assignment_that_delivered_it() -> None:
    current, earlier = Delivered(0, generation=CURRENT), Delivered(1, generation=EARLIER)
    for delivered in (current, earlier):
        stream.Record(delivered).acknowledge()
    assert (current.acknowledged, earlier.acknowledged) == (True, False)
