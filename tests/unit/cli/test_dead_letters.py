"""Orders for more dead letters than are taken at once are given in rounds, and each round is told."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from app.client import dead_letters, progress
from app.client.http import Client, Service

from .fake_service import Answer, FakeService

UNTIL = "2026-01-31T12:00:00Z"


def answer(done: str, number: int, more: bool) -> Answer:
    return 200, {}, orjson.dumps({done: number, "left_out": 0, "until": UNTIL, "more": more, "next_cursor": "c"})


@pytest.mark.parametrize(
    ("order", "done", "label"),
    [(dead_letters.redrive, "redriven", "Retrying"), (dead_letters.dismiss, "dismissed", "Dismissing")],
)
async def test_an_order_for_many_letters_says_after_each_round_how_far_it_is(
    service: FakeService,
    order: Callable[..., Any],
    done: str,
    label: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0.0)
    service.first = [answer(done, 1000, True), answer(done, 1000, True), answer(done, 5, False)]
    async with Client(Service(service.url)) as client:
        assert await order(client, {"reason": "call_rewritten"}) == (2005, 0)
    assert capsys.readouterr().err.splitlines() == [f"{label}: 1,000 letters", f"{label}: 2,000 letters"]
