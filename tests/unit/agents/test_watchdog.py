"""What stands still is noticed, what has no reason to move is not."""

import math
from types import SimpleNamespace

import pytest
from aiokafka.errors import KafkaTimeoutError
from faust.types import TP

from agents.scoring import scoring
from agents.watchdog import Watch, Watchdog, lag
from app import topics
from app.faust_app import app
from app.positions import positions


class Away:
    """A consumer whose broker can be away."""

    def __init__(self) -> None:
        self.away = False
        self.committed = {TP(topics.calls.name, 0): 0}

    def assignment(self) -> set[TP]:
        return set(self.committed)

    def last_committed(self, tp: TP) -> int:
        return self.committed[tp]

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


async def test_what_is_applied_and_not_committed_is_stuck_and_what_is_committed_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    consumer = Away()
    monkeypatch.setattr(type(app), "consumer", consumer)
    positions.applied(topics.calls.name, 0, 9)
    watchdog = Watchdog(stuck_after=20)
    assert await watchdog._look(0.0) is None
    assert "applied up to offset 9 and committed only up to 0" in str(await watchdog._look(30.0))
    consumer.committed = {TP(topics.calls.name, 0): 10}
    assert await watchdog._look(31.0) is None
    assert await watchdog._look(90.0) is None


async def test_requests_may_stay_uncommitted_as_long_as_their_tasks_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    consumer = Away()
    consumer.committed = {TP(topics.score_requests.name, 0): 0}
    monkeypatch.setattr(type(app), "consumer", consumer)
    positions.applied(topics.score_requests.name, 0, 9)
    watchdog = Watchdog(stuck_after=20)
    assert [await watchdog._look(now) for now in (0.0, 30.0, 900.0)] == [None] * 3


async def test_tasks_that_could_start_and_do_not_are_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    consumer = Away()
    consumer.committed = {}
    monkeypatch.setattr(type(app), "consumer", consumer)
    monkeypatch.setattr(scoring.scheduler, "could_start", lambda: True)
    watchdog = Watchdog(stuck_after=20)
    assert await watchdog._look(0.0) is None
    monkeypatch.setattr(scoring.scheduler, "started", scoring.scheduler.started + 1)
    assert await watchdog._look(30.0) is None
    assert "none is started" in str(await watchdog._look(60.0))


def test_a_start_is_stuck_once_nothing_moves_unless_it_waits_for_a_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    watchdog = Watchdog(stuck_after=20)
    monkeypatch.setattr(app, "waiting_for", None)
    monkeypatch.setattr(type(app), "producer", SimpleNamespace(failed=None))
    assert watchdog._look_at_start(0.0) is None
    monkeypatch.setattr(app, "rebalancing_count", app.rebalancing_count + 1)
    assert watchdog._look_at_start(30.0) is None
    assert "the tables are not ready" in str(watchdog._look_at_start(60.0))
    monkeypatch.setattr(app, "waiting_for", "Kafka")
    assert watchdog._look_at_start(90.0) is None
    monkeypatch.setattr(app, "waiting_for", None)
    assert watchdog._look_at_start(91.0) is None
    monkeypatch.setattr(type(app.consumer), "in_doubt", True)  # no heartbeat was answered
    assert watchdog._look_at_start(190.0) is None


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
