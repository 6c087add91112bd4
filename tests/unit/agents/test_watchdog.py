"""What stands still is noticed, what has no reason to move is not."""

import math

import pytest
from aiokafka.errors import KafkaTimeoutError
from faust.types import TP

from agents.watchdog import Watch, Watchdog, lag
from app import topics
from app.faust_app import app
from app.positions import positions


class Away:
    """A consumer whose broker can be away."""

    def __init__(self) -> None:
        self.away = False
        self._committed_offset = {TP(topics.calls.name, 0): 0}

    def assignment(self) -> set[TP]:
        return set(self._committed_offset)

    async def highwaters(self, *partitions: TP) -> dict[TP, int]:
        if self.away:
            raise KafkaTimeoutError("no answer")
        return dict.fromkeys(partitions, 10)


async def test_while_the_broker_does_not_answer_nothing_is_stuck_and_the_lag_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    consumer = Away()
    monkeypatch.setattr(type(app), "consumer", consumer)
    positions.applied(topics.calls.name, 0, 4)
    watchdog = Watchdog(stuck_after=20)
    assert await watchdog._look(0.0) is None
    assert lag.labels(topics.calls.name)._value.get() == 5
    assert "records after offset 4, and none is applied" in str(await watchdog._look(30.0))
    consumer.away = True
    assert await watchdog._look(40.0) is None
    assert math.isnan(lag.labels(topics.calls.name)._value.get())
    consumer.away = False
    assert await watchdog._look(50.0) is None


def test_only_what_should_move_and_does_not_is_still() -> None:
    watch = Watch()
    assert watch.still_for("offset", 5, True, now=0.0) == 0.0
    assert watch.still_for("offset", 5, True, now=60.0) == 60.0
    assert watch.still_for("offset", 6, True, now=90.0) == 0.0
    assert watch.still_for("offset", 6, False, now=500.0) == 0.0
    assert watch.still_for("offset", 6, True, now=510.0) == 10.0


def test_what_is_forgotten_starts_anew_but_for_what_is_kept() -> None:
    watch = Watch()
    watch.still_for("kept", 1, True, now=0.0)
    watch.still_for("other", 1, True, now=0.0)
    watch.forget(but="kept")
    assert watch.still_for("kept", 1, True, now=9.0) == 9.0
    assert watch.still_for("other", 1, True, now=9.0) == 0.0
