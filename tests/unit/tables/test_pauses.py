"""Which scorers are paused by their spend cap: what one worker knows reaches the others, and the newest wins."""

import time
from typing import Any

import pytest

from tables import pauses

PROJECT, REF = "acme/judging", "callscore:///scorer/judge:1"


class Worker:
    """What one worker knows of pauses."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self._known: dict[Any, pauses.SpendPause] = {}

    def use(self) -> None:
        self._monkeypatch.setattr(pauses, "_spend_pauses", self._known)

    def tell(self, other: "Worker") -> None:
        self.use()
        sent = pauses.outgoing()
        other.use()
        assert pauses.merge(0, sent)


@pytest.fixture
def one(monkeypatch: pytest.MonkeyPatch) -> Worker:
    return Worker(monkeypatch)


@pytest.fixture
def other(monkeypatch: pytest.MonkeyPatch) -> Worker:
    return Worker(monkeypatch)


def test_a_cap_that_is_reached_and_no_longer_so_is_known_everywhere(one: Worker, other: Worker) -> None:
    one.use()
    pauses.cap_is_reached(PROJECT, REF, 5.0, time.time() + 60)
    since = pauses.of(PROJECT, REF)
    one.tell(other)
    assert pauses.of(PROJECT, REF) == since
    assert pauses.reached_cap(PROJECT, REF) == 5.0
    assert pauses.of("acme/other", REF) is None
    pauses.cap_is_not_reached(PROJECT, REF)
    assert pauses.of(PROJECT, REF) is None
    one.tell(other)  # late, and again
    assert pauses.of(PROJECT, REF) is None
    other.tell(one)
    assert pauses.of(PROJECT, REF) is None


def test_a_cap_that_is_reached_is_shown_before_one_that_cannot_hold(one: Worker) -> None:
    one.use()
    pauses.cap_cannot_hold(PROJECT, REF, 5.0, "no price")
    assert _reason() == "spend_cap_without_price: no price"
    pauses.cap_is_reached(PROJECT, REF, 5.0, time.time() + 60)
    assert _reason() == "spend_cap_reached: the 5 USD that this scorer may cost a day in this project are spent"
    pauses.cap_is_not_reached(PROJECT, REF)
    assert _reason() == "spend_cap_without_price: no price"


def test_what_is_over_is_told_no_more(one: Worker) -> None:
    one.use()
    pauses.cap_is_reached(PROJECT, REF, 5.0, time.time() - 1)
    assert pauses.of(PROJECT, REF) is None
    assert pauses.outgoing() == []


def test_fields_that_a_later_version_sends_are_ignored(one: Worker, other: Worker) -> None:
    one.use()
    pauses.cap_cannot_hold(PROJECT, REF, 5.0, "no price")
    sent = [pause | {"later": 1} for pause in pauses.outgoing()]
    other.use()
    assert pauses.merge(0, sent)
    assert _reason() == "spend_cap_without_price: no price"


def _reason() -> str | None:
    pause = pauses.of(PROJECT, REF)
    return None if pause is None else pause.reason
