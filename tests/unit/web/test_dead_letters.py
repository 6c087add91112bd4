"""An order for dead letters that cannot be carried out is refused before it is."""

import pytest

from app.web.paging import encode_cursor
from tests.unit.web.client import Client


@pytest.mark.parametrize("cursor", ["", encode_cursor("00001767225600000.0199-a")])
def test_an_order_takes_no_cursor_but_of_its_letters(client: Client, cursor: str) -> None:
    answer = client.post("/dead-letters/dismiss", {"cursor": cursor})
    detail = answer.json["detail"][0]
    assert (answer.status, detail["loc"], detail["type"]) == (422, ["body", "cursor"], "invalid_cursor")


@pytest.mark.parametrize("order", ["redrive", "dismiss"])
def test_an_order_up_to_a_time_that_has_no_name_is_refused_before_it_is_carried_out(client: Client, order: str) -> None:
    for until in ("9999-12-31T23:59:59-14:00", "9999-12-31T23:59:59.999999Z"):
        answer = client.post(f"/dead-letters/{order}", {"until": until})
        assert (answer.status, answer.json["detail"][0]["loc"]) == (422, ["body", "until"])


@pytest.mark.parametrize("order", ["redrive", "dismiss"])
def test_an_order_for_letters_whose_ids_cannot_be_ids_is_refused(client: Client, order: str) -> None:
    answer = client.post(f"/dead-letters/{order}", rb'{"ids": ["000000000000000.calls.0.0", "0\ud800.0.0"]}')
    assert (answer.status, answer.json["detail"][0]["loc"]) == (422, ["body", "ids", 1])


def test_a_redrive_of_letters_that_cannot_be_is_refused_with_what_there_is(client: Client) -> None:
    answer = client.post("/dead-letters/redrive", {"topic": "typo", "reason": "typo"})
    assert answer.status == 422
    topic, reason = answer.json["detail"]
    assert (topic["loc"], reason["loc"]) == (["body", "topic"], ["body", "reason"])
    there_are = "calls, scorers, score-requests, controls, score-events, dead-letters, weave"
    assert topic["msg"].endswith(f"there is no topic 'typo'; there are: {there_are}")
    assert "'undecodable', 'unknown_version', 'call_rewritten' or 'call_too_large'" in reason["msg"]
