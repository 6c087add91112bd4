"""callscore dead-letters: the list, and orders for more letters than are taken at once."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from app.client import dead_letters, progress
from app.client.http import Client, Service

from .command import Command
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


async def test_the_list_shows_when_records_were_logged_and_says_which_letters_there_are_none_of(
    callscore: Command, service: FakeService
) -> None:
    letter = {
        "id": "i", "topic": "calls", "reason": "call_rewritten", "detail": "d",
        "logged_at": "2026-01-31T12:00:00.123456Z", "redriven_at": None, "dismissed_at": None,
    }  # fmt: skip
    listed = ("dead-letters", "list")
    service.first = [(200, {}, orjson.dumps({"items": [letter], "next_cursor": None}))]
    shown = (await callscore(*listed)).out.splitlines()
    assert shown[0].split() == ["ID", "LOGGED", "AT", "TOPIC", "REASON", "CLOSED", "DETAIL"]
    assert shown[1].split() == ["i", "2026-01-31T12:00:00Z", "calls", "call_rewritten", "-", "d"]
    for words, none in (
        ((), "There are no dead letters."),
        (("--open",), "There are no open dead letters."),
        (("--dismissed", "--reason", "call_rewritten"), "There are no dismissed dead letters that match."),
    ):
        service.first = [(200, {}, b'{"items": [], "next_cursor": null}')]
        assert (await callscore(*listed, *words)).out == f"{none}\n"
