"""Retry only what failed."""

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.service import Service, until

PROJECT = "acme/retry"


@pytest.fixture
def gates(tmp_path: Path) -> Callable[[str, str], Path]:
    """Sets what the scorer `gated` does with a call."""

    def gate(name: str, says: str) -> Path:
        path = tmp_path / name
        path.write_text(says)
        return path

    return gate


def retry(service: Service, request_id: str, **body: Any) -> Any:
    answer = service.post(f"/score-requests/{request_id}/retry", body)
    assert answer.status == 200, answer.raw
    return answer.json


def shown(service: Service) -> dict[str, tuple[str, int]]:
    tasks = service.items(f"/scores?project_id={PROJECT}")
    return {score["call_id"]: (score["status"], score["revision"]) for score in tasks}


def test_only_what_failed_runs_again_as_the_next_round_of_the_same_request(
    gated: Service, gates: Callable[[str, str], Path]
) -> None:
    calls = {name: gates(name, "bad" if name in "bc" else "good") for name in "abc"}
    gated.log_calls(PROJECT, [{"id": name, "output": str(path)} for name, path in calls.items()])
    request = gated.submit(PROJECT, ["a", "b", "c"], gated.refs("gated"))
    first = gated.wait_finished(request)["tasks"]
    assert (first["succeeded"], first["failed"]) == (1, 2)
    before = {score["call_id"]: score for score in gated.items(f"/scores?project_id={PROJECT}")}

    gates("b", "wait")
    gates("c", "bad")
    assert retry(gated, request)["request_id"] == request
    until(lambda: gated.status(request)["tasks"], lambda tasks: tasks["failed"] == tasks["running"] == 1)
    assert gated.status(request)["status"] == "running"
    gates("b", "good")
    again = gated.wait_finished(request)
    assert (again["status"], again["tasks"]["succeeded"], again["tasks"]["failed"]) == ("completed", 2, 1)
    rounds = {task["call_id"]: task["round"] for task in gated.items(f"/score-requests/{request}/tasks")}
    assert rounds == {"a": 1, "b": 2, "c": 2}
    after = {score["call_id"]: score for score in gated.items(f"/scores?project_id={PROJECT}")}
    assert after["a"] == before["a"]
    assert shown(gated) == {"a": ("succeeded", 1), "b": ("succeeded", 2), "c": ("failed", 2)}

    gates("c", "good")
    retry(gated, request)
    assert gated.wait_finished(request)["tasks"]["succeeded"] == 3
    assert shown(gated)["c"] == ("succeeded", 3)
    assert retry(gated, request)["status"] == "completed"  # nothing to do


def test_a_filter_says_what_is_tried_again(gated: Service, gates: Callable[[str, str], Path]) -> None:
    bad = gates("bad", "bad")
    gated.log_calls(PROJECT, ["raises"], str(bad))
    gated.log_calls(PROJECT, [{"id": "broken", "output": None, "exception": "boom"}])
    gated_ref, raises = gated.refs("gated", "raises")
    request = gated.submit(PROJECT, ["raises", "broken"], [gated_ref, raises])
    assert gated.wait_finished(request)["tasks"]["failed"] == 4

    def rounds() -> dict[tuple[str, str], int]:
        gated.wait_finished(request)
        found = gated.items(f"/score-requests/{request}/tasks")
        return {(task["call_id"], task["scorer_ref"]): task["round"] for task in found}

    one = {(call, ref): 1 for call in ("raises", "broken") for ref in (gated_ref, raises)}
    assert rounds() == one
    retry(gated, request, scorer_refs=[raises])
    assert rounds() == one | {("raises", raises): 2, ("broken", raises): 2}
    retry(gated, request, error_types=["LookupError"], scorer_refs=[gated_ref])
    assert rounds() == one | {("raises", raises): 2, ("broken", raises): 2, ("raises", gated_ref): 2}
    retry(gated, request, statuses=["cancelled"])
    retry(gated, request, error_types=["TimeoutError"])
    assert rounds()["raises", gated_ref] == 2
    bad_bodies: list[object] = [
        {"status": ["failed"]},
        {"statuses": ["succeeded"]},
        {"scorer_refs": "x"},
        {"scorer_refs": [gated_ref, gated.refs("not_empty")[0]]},  # which it does not have
        {"scorer_refs": [f"{raises.rpartition(':')[0]}:latest"]},
        {"statuses": ["cancelled"], "error_types": ["LookupError"]},
        {"error_types": ["LookupError"] * 101},
        {"error_types": ["x" * 251]},
        [],
    ]
    for body in bad_bodies:
        answer = gated.post(f"/score-requests/{request}/retry", body)
        assert answer.status == 422
        assert all(sorted(item) == ["loc", "msg", "type"] for item in answer.json["detail"])


def test_a_cancelled_request_runs_again(gated: Service, gates: Callable[[str, str], Path]) -> None:
    wait = gates("gate", "wait")
    ids = [f"call-{n}" for n in range(700)]
    gated.log_calls(PROJECT, ids, str(wait))
    request = gated.submit(PROJECT, ids, gated.refs("gated"))
    gated.wait_for_tasks(request, "running")
    for _ in range(3):
        assert gated.post(f"/score-requests/{request}/cancel", {}).status == 200
        assert gated.wait_finished(request)["tasks"]["cancelled"] == 700
        assert retry(gated, request, statuses=["cancelled"])["status"] == "running"
    gates("gate", "good")
    tasks = gated.wait_finished(request)["tasks"]
    assert (tasks["succeeded"], tasks["cancelled"]) == (700, 0)


def test_a_retry_survives_kills(gated: Service, gates: Callable[[str, str], Path]) -> None:
    gate = gates("gate", "bad")
    ids = [f"call-{n}" for n in range(100)]
    gated.log_calls(PROJECT, ids, str(gate))
    request = gated.submit(PROJECT, ids, gated.refs("gated"))
    assert gated.wait_finished(request)["tasks"]["failed"] == 100
    gates("gate", "wait")
    retry(gated, request)
    for _ in range(2):
        gated.kill()
        gated.start()
        assert gated.status(request)["status"] == "running"
    gates("gate", "good")
    assert gated.wait_finished(request)["tasks"]["succeeded"] == 100
    assert {task["round"] for task in gated.items(f"/score-requests/{request}/tasks")} == {2}


def test_a_retry_joins_what_others_have_running_and_reuses_what_they_finished(
    gated: Service, gates: Callable[[str, str], Path]
) -> None:
    paths = [gates(name, "bad") for name in ("a", "b")]
    gated.log_calls(PROJECT, [{"id": path.name, "output": str(path)} for path in paths])
    mine = gated.submit(PROJECT, ["a", "b"], gated.refs("gated"))
    assert gated.wait_finished(mine)["tasks"]["failed"] == 2
    gates("a", "good")
    gates("b", "wait")
    theirs = gated.submit(PROJECT, ["a", "b"], gated.refs("gated"))
    until(lambda: gated.status(theirs)["tasks"], lambda tasks: tasks["succeeded"] == tasks["running"] == 1)
    assert gated.status(mine)["tasks"]["failed"] == 2
    retry(gated, mine)
    gated.wait_for_tasks(mine, "succeeded")
    gates("b", "good")
    for request in (mine, theirs):
        assert gated.wait_finished(request)["tasks"]["succeeded"] == 2
    assert gated.status(mine)["tasks"]["reused"] == 1
    assert {task["round"] for task in gated.items(f"/score-requests/{mine}/tasks")} == {2}


def test_a_task_that_is_queued_again_says_since_when(
    make_service: Callable[..., Service], gates: Callable[[str, str], Path]
) -> None:
    service = make_service(scorers="tests.gated_scorers", scorer_attempts=1, scorer_concurrency=1).start()
    calls = {name: gates(name, "bad") for name in "abc"}
    service.log_calls(PROJECT, [{"id": name, "output": str(path)} for name, path in calls.items()])
    request = service.submit(PROJECT, list(calls), service.refs("gated"))
    service.wait_finished(request)
    for name in calls:
        gates(name, "wait")
    asked_at = time.time()
    retry(service, request)
    service.wait_for_tasks(request, "running")
    queued = service.items(f"/score-requests/{request}/tasks?status=queued")
    assert len(queued) == 2
    assert all(asked_at - 0.001 <= datetime.fromisoformat(task["since"]).timestamp() for task in queued)
    for name in calls:
        gates(name, "good")
    assert service.wait_finished(request)["tasks"]["succeeded"] == 3
