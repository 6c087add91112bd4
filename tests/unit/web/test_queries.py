"""Parameters of views: what cannot be meant is named at its place, and a cursor belongs to its list."""

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from app.web.dead_letters import LettersQuery
from app.web.paging import encode_cursor
from tests.unit.web.client import Client


@pytest.mark.parametrize(
    ("method", "path", "status", "type"),
    [
        ("GET", "/nothing/here", 404, "not_found"),
        ("DELETE", "/scores", 405, "method_not_allowed"),
        ("GET", "/calls/score", 405, "method_not_allowed"),
        ("GET", "/scores", 422, "missing"),
        ("GET", "/scores?project_id=a&status=done", 422, "literal_error"),
        ("GET", "/scores?project_id=a&limit=1001", 422, "less_than_equal"),
        ("GET", "/scores?project_id=a&limit=x", 422, "int_parsing"),
        ("GET", "/scores?project_id=a&statsu=failed", 422, "extra_forbidden"),
        ("GET", "/scores?project_id=a&status=failed&status=cancelled", 422, "repeated"),
        ("GET", "/scores?project_id=%00", 422, "value_error"),
        ("GET", "/scores/summary?project_id=a&group_by=output.x", 422, "string_pattern_mismatch"),
        ("GET", "/calls?project_id=a&cursor=!", 422, "invalid_cursor"),
        ("GET", "/score-requests?limit=0", 422, "greater_than_equal"),
        ("GET", "/scores/history?project_id=a&call_id=c", 422, "missing"),
        ("GET", "/scores/gaps?project_id=a", 422, "missing"),
        ("GET", "/scores?project_id=a&scorer_ref=s%00r", 422, "value_error"),
        ("GET", "/scores/history?project_id=a&call_id=c&scorer_ref=s%00r", 422, "value_error"),
        ("GET", "/scores/summary?project_id=a&scorer_ref=s%00r", 422, "value_error"),
        ("GET", "/scores/gaps?project_id=a&scorer_ref=s%00r", 422, "value_error"),
        ("GET", "/scores/gaps/summary?project_id=a&scorer_ref=s%00r", 422, "value_error"),
        ("GET", "/scores/gaps?project_id=a&scorer_ref=s&reason=lost", 422, "literal_error"),
        ("GET", "/scores?project_id=a&as_of=2026-01-01T00:00:00", 422, "timezone_aware"),
        ("GET", "/dead-letters?since=yesterday", 422, "datetime_from_date_parsing"),
        ("GET", "/dead-letters?until=9999-12-31T23:59:59-14:00", 422, "value_error"),
        ("GET", "/scorers/costs?project_id=a&since=0001-01-01T00:00:00%2B14:00", 422, "value_error"),
        ("GET", "/dead-letters?topic=typo", 422, "value_error"),
        ("GET", "/dead-letters?reason=typo", 422, "literal_error"),
    ],
)
def test_mistakes_are_named_in_our_shape(client: Client, method: str, path: str, status: int, type: str) -> None:
    answer = client.request(method, path)
    assert answer.status == status
    (detail,) = answer.json["detail"]
    assert sorted(detail) == ["loc", "msg", "type"]
    assert detail["type"] == type
    if status == 422:
        assert detail["loc"][0] == "query"


PLACE = "00001767225600000.0199-a"
LETTER = "001767225600000.calls.3.7"
EVENT = "0000000000000007.0001."
SCORERS = ["\0".join(["0", "name", "1", "0998232774400000", "digest"]), "1\0refusal"]
CALLS_AND_SCORES = ["acme/flow\0c", "acme/flow\0c\0s", "acme/other\0c", "acme/other\0c\0s"]
BREAKERS = ["\0".join([place, "name", "ref", ""]) for place in "01"]
KEYS = [*CALLS_AND_SCORES, PLACE, LETTER, "call", EVENT, *SCORERS, *BREAKERS]


@pytest.mark.parametrize(
    ("path", "own"),
    [
        ("/calls?project_id=acme/flow", [KEYS[0]]),
        ("/scores?project_id=acme/flow", [KEYS[1]]),
        ("/scores?project_id=acme/flow&call_id=c", [KEYS[1]]),
        ("/scores?project_id=acme/flow&call_id=d", []),
        ("/score-requests?", [PLACE]),
        ("/dead-letters?", [LETTER]),
        ("/scores/history?project_id=acme/flow&call_id=c&scorer_ref=s", [EVENT]),
        ("/scorers?", SCORERS),
        ("/breakers?", BREAKERS),
    ],
)
def test_a_list_takes_no_cursor_of_another_list_or_project(client: Client, path: str, own: list[str]) -> None:
    assert client.get(f"{path}&cursor=").status == 422
    for key in KEYS:
        answer = client.get(f"{path}&cursor={encode_cursor(key)}")
        if key in own:
            assert answer.status == 503  # there are no tables here: it got as far as asking them
        else:
            assert answer.status == 422, (key, answer.raw)
            detail = answer.json["detail"][0]
            assert (detail["loc"], detail["type"]) == (["query", "cursor"], "invalid_cursor")


def test_a_parameter_that_is_a_time_may_be_a_date() -> None:
    query = LettersQuery.model_validate({"since": "2026-11-01"})
    assert query.since == datetime(2026, 11, 1, tzinfo=UTC)
    with pytest.raises(ValidationError):
        LettersQuery.model_validate({"since": "2026-11-31"})
