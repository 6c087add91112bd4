"""History is kept, and asking for scores as of a time gives what was answered then, for ever."""

import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.service import Service

PROJECT = "acme/past"
SETTINGS = {"scorer_attempts": 2, "scorer_backoff": 0.01}


def history(service: Service, call_id: str, ref: str) -> list[dict[str, Any]]:
    return service.items(f"/scores/history?limit=2&{asking(call_id=call_id, scorer_ref=ref)}")


def asking(**params: str) -> str:
    return urlencode({"project_id": PROJECT, **params})


def moment(service: Service) -> str:
    """A time that the log has passed: what is appended afterwards is later."""
    now = time.time()
    while time.time() < now + 0.002:
        time.sleep(0.001)
    return datetime.fromtimestamp(now, UTC).isoformat().replace("+00:00", "Z")


def brief(event: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(event[name] for name in ("event", "occasion", "round", "attempts", "reason", "revision"))


def test_every_wait_attempt_and_outcome_is_kept_in_order(shared: Service) -> None:
    (raises,) = shared.refs("raises")
    first = shared.submit(PROJECT, ["late"], [raises])
    shared.wait_for_tasks(first, "waiting_for_call")
    second = shared.submit(PROJECT, ["late"], [raises])
    shared.wait_for_tasks(second, "waiting_for_call")
    shared.log_calls(PROJECT, ["late"])
    shared.wait_finished(first)
    assert shared.post(f"/score-requests/{first}/retry", {}).status == 200
    shared.wait_finished(first)
    again = shared.submit(PROJECT, ["late"], [raises], **{"Callscore-Rescore": "again"})
    shared.wait_finished(again)

    found = history(shared, "late", raises)
    assert [brief(event) for event in found] == [
        ("TaskParked", "", 1, 0, "waiting_for_call", None),
        ("TaskJoined", "", 1, 0, None, None),
        ("AttemptFailed", "", 1, 1, "LookupError", None),
        ("ScoreFailed", "", 1, 2, "LookupError", 1),
        ("AttemptFailed", "", 2, 1, "LookupError", None),
        ("ScoreFailed", "", 2, 2, "LookupError", 2),
        ("AttemptFailed", "again", 1, 1, "LookupError", None),
        ("ScoreFailed", "again", 1, 2, "LookupError", 3),
    ]
    assert found[0]["request_ids"] == [first]
    assert found[1]["request_ids"] == [second]
    assert found[2]["next_at"] > found[2]["at"]
    assert all(event["error"]["message"] == "there is no such thing" for event in found[2:])
    offsets = [event["position"]["offset"] for event in found]
    assert offsets == sorted(set(offsets))
    assert [event["logged_at"] for event in found] == sorted(event["logged_at"] for event in found)
    [score] = shared.items(f"/scores?{asking(call_id='late')}")
    assert {name: score["lineage"][name] for name in ("partition", "offset")} == found[-1]["position"]
    assert not any("output" in event or event["superseded"] for event in found)


def test_an_outcome_in_the_history_has_its_output(shared: Service) -> None:
    shared.log_calls(PROJECT, ["good"], "fine")
    refs = shared.refs("not_empty")
    shared.wait_finished(shared.submit(PROJECT, ["good"], refs))
    [event] = history(shared, "good", *refs)
    assert brief(event) == ("ScoreSucceeded", "", 1, 1, None, 1)
    assert event["output"] == {"passed": True}
    assert history(shared, "never-heard-of", *refs) == []


def test_scores_as_of_a_time_are_what_was_answered_then(shared: Service) -> None:
    """After failures, a retry, a re-score and further calls every earlier moment still answers as it did."""
    project = f"{PROJECT}-moments"
    ids = [f"call-{n}" for n in range(12)]
    call = {"output": "an output", "op_name": "op:answer"}
    shared.log_calls(project, [{"id": call_id, **call} for call_id in ids])
    refs = shared.refs("flaky", "raises", "not_empty")

    def answers(**params: str) -> Any:
        scores = shared.items(f"/scores?limit=5&{urlencode({'project_id': project, **params})}")
        failed = shared.items(f"/scores?{urlencode({'project_id': project, 'status': 'failed', **params})}")
        one = shared.items(f"/scores?{urlencode({'project_id': project, 'call_id': 'call-1', **params})}")
        summary = shared.get(f"/scores/summary?{urlencode({'project_id': project, **params})}").json
        by_op = shared.get(f"/scores/summary?{urlencode({'project_id': project, 'group_by': 'op_name', **params})}")
        return scores, failed, one, summary, by_op.json

    seen = {moment(shared): answers()}
    request = shared.submit(project, ids[:8], refs)
    shared.wait_finished(request)
    seen[moment(shared)] = answers()
    shared.post(f"/score-requests/{request}/retry", {})
    shared.wait_finished(request)
    seen[moment(shared)] = answers()
    shared.wait_finished(shared.submit(project, ids, refs, **{"Callscore-Rescore": "2"}))
    seen[moment(shared)] = answers()

    assert len({str(answer) for answer in seen.values()}) == len(seen)
    assert {at: answers(as_of=at) for at in seen} == seen
    shared.stop()
    shared.start()
    assert {at: answers(as_of=at) for at in seen} == seen


@pytest.mark.parametrize("view", ["/scores", "/scores/summary"])
def test_a_time_that_has_not_come_has_no_answer(shared: Service, view: str) -> None:
    answer = shared.get(f"{view}?{asking(as_of='2999-01-01T00:00:00Z')}")
    assert answer.status == 422
    assert answer.json["detail"][0]["type"] == "as_of_in_the_future"
    assert shared.get(f"{view}?{asking(as_of='yesterday')}").status == 422
