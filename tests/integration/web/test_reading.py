"""What was scored can be read back: requests, tasks, scores and their distributions."""

from typing import Any

import pytest

from app.web.summary import SORTED_HERE
from tests.asking import TASK_FIELDS, wait_for
from tests.command import run, said
from tests.service import Service

PROJECT = "acme/read"
CALLS = 300


@pytest.fixture(scope="module")
def request_id(shared: Service) -> str:
    """A finished request of 300 calls by two scorers and its refs."""
    calls: list[dict[str, Any]] = [
        {
            "id": f"call-{number:04d}",
            "output": "" if number % 10 == 0 else '{"a": 1}' if number % 2 else "text",
            "op_name": f"op-{number % 2}",
            "attributes": {"model": {"name": f"m{number % 3}"}, "tags": [f"t{number % 2}"]},
        }
        for number in range(CALLS)
    ]
    shared.log_calls(PROJECT, calls)
    request_id = shared.submit(PROJECT, [call["id"] for call in calls], shared.refs("not_empty", "valid_json"))
    assert shared.wait_finished(request_id)["tasks"]["succeeded"] == 2 * CALLS
    return request_id


def test_a_finished_request_says_so(shared: Service, request_id: str) -> None:
    request = shared.status(request_id)
    assert request["status"] == "completed"
    assert request["finished_at"] >= request["requested_at"]
    assert request["eta"] is None
    assert request["rate"] > 0


def test_every_task_is_listed_once_through_pages_of_any_size(shared: Service, request_id: str) -> None:
    for limit in (7, 100, 1000):
        tasks = shared.items(f"/score-requests/{request_id}/tasks?limit={limit}")
        places = {(task["call_id"], task["scorer_ref"]) for task in tasks}
        assert len(tasks) == len(places) == 2 * CALLS
        assert {task["status"] for task in tasks} == {"succeeded"}
    assert tasks[0].keys() == TASK_FIELDS
    assert shared.items(f"/score-requests/{request_id}/tasks?status=failed") == []


def test_who_lists_tasks_right_after_asking_for_them_misses_none(shared: Service) -> None:
    refs = shared.refs("not_empty", "valid_json")
    for _ in range(20):
        asked = shared.submit(PROJECT, ["call-0001", "call-0002", "call-0003"], refs)
        assert len(shared.get(f"/score-requests/{asked}/tasks").json["items"]) == 6


def test_a_task_that_waits_says_for_what_and_until_when(shared: Service) -> None:
    waiting = shared.submit("acme/absent", ["never"], shared.refs("not_empty"))
    [task] = wait_for(shared, waiting, "waiting_for_call")
    assert task["reason"] == "waiting_for_call"
    assert task["next_at"] > task["since"]
    lines = said(run(shared, "status", waiting))
    assert f"waiting      1 task waits for a call that is not logged yet (never), until {task['next_at']}" in lines


def test_scores_are_listed_once_in_order_through_pages_of_any_size(shared: Service, request_id: str) -> None:
    for limit in (13, 1000):
        scores = shared.items(f"/scores?project_id={PROJECT}&limit={limit}")
        keys = [(score["call_id"], score["scorer_ref"]) for score in scores]
        assert keys == sorted(keys)
        assert len(set(keys)) == len(keys) == 2 * CALLS
    assert all("output" in score and "error" not in score for score in scores)
    assert {score["revision"] for score in scores} == {1}
    assert {"partition", "offset"} <= scores[0]["lineage"].keys()


def test_scores_are_filtered(shared: Service, request_id: str) -> None:
    (ref,) = shared.refs("valid_json")
    by_ref = shared.items(f"/scores?project_id={PROJECT}&scorer_ref={ref}&op_name=op-1")
    assert len(by_ref) == CALLS / 2
    assert {(score["scorer_name"], score["op_name"]) for score in by_ref} == {("valid_json", "op-1")}
    one = shared.items(f"/scores?project_id={PROJECT}&call_id=call-0001&limit=1")
    assert [score["call_id"] for score in one] == ["call-0001"] * 2
    assert shared.items(f"/scores?project_id={PROJECT}&status=failed") == []
    assert shared.items("/scores?project_id=acme") == []


def test_the_latest_version_of_a_scorer_is_asked_for_as_it_is_submitted(shared: Service, request_id: str) -> None:
    (ref,) = shared.refs("valid_json")
    latest = ref.rpartition(":")[0] + ":latest"
    for view in ("/scores?limit=9", "/scores/summary?", "/scores/history?call_id=call-0001"):
        asked = f"{view}&project_id={PROJECT}&scorer_ref="
        answer = shared.get(asked + latest)
        assert (answer.status, answer.json) == (200, shared.get(asked + ref).json)
        assert answer.json["items"]
        assert shared.get(asked + "callscore:///scorer/nobody:latest").status == 422


def test_a_failed_score_has_an_error_and_no_output(shared: Service) -> None:
    shared.log_calls("acme/failing", [{"id": "1", "output": None, "exception": "boom"}])
    request_id = shared.submit("acme/failing", ["1"], shared.refs("not_empty"))
    assert shared.wait_finished(request_id)["tasks"]["failed"] == 1
    (score,) = shared.items("/scores?project_id=acme/failing")
    assert score["status"] == "failed"
    assert "output" not in score
    assert sorted(score["error"]) == ["message", "type"]
    assert score["error"]["type"] == "call_has_no_output"
    assert score["lineage"].keys() >= {"scorer_kind", "scorer_digest", "input_digest"}
    (summary,) = shared.get("/scores/summary?project_id=acme/failing").json["items"]
    assert (summary["failed"], summary["outputs"]) == (1, {})
    (task,) = shared.items(f"/score-requests/{request_id}/tasks?status=failed")
    assert task["reason"].startswith(score["error"]["type"])


def test_a_summary_has_the_distribution_of_every_leaf(shared: Service, request_id: str) -> None:
    (ref,) = shared.refs("not_empty")
    (item,) = shared.get(f"/scores/summary?project_id={PROJECT}&scorer_ref={ref}").json["items"]
    assert (item["scorer_name"], item["group"], item["succeeded"], item["failed"]) == ("not_empty", None, CALLS, 0)
    assert item["outputs"]["passed"] == {"type": "boolean", "n": CALLS, "true": 0.9}


@pytest.mark.parametrize(
    ("group_by", "groups"),
    [
        ("op_name", ["op-0", "op-1"]),
        ("attributes.model.name", ["m0", "m1", "m2"]),
        ("attributes.tags.0", ["t0", "t1"]),
        ("inputs.question", ["?"]),
        ("inputs.nothing", [None]),
    ],
)
def test_a_summary_is_grouped(shared: Service, request_id: str, group_by: str, groups: list[str | None]) -> None:
    (ref,) = shared.refs("not_empty")
    items = shared.get(f"/scores/summary?project_id={PROJECT}&scorer_ref={ref}&group_by={group_by}").json["items"]
    assert [item["group"] for item in items] == groups
    assert sum(item["succeeded"] for item in items) == CALLS


def test_a_summary_of_many_numbers_is_sorted_elsewhere_and_right(shared: Service) -> None:
    ids = [f"{number:05d}" for number in range(SORTED_HERE + 100)]
    shared.log_calls("acme/numbers", [{"id": call_id, "output": "x" * (int(call_id) % 2)} for call_id in ids])
    published = {"name": "has_x", "kind": "contains", "params": {"text": "x"}, "project_id": "acme/numbers"}
    ref = shared.post("/scorers", published).json["ref"]
    shared.wait_finished(shared.submit("acme/numbers", ids, [ref]), 120)
    (item,) = shared.get("/scores/summary?project_id=acme/numbers").json["items"]
    numbers = item["outputs"]["found[]"]
    assert (numbers["n"], numbers["mean"], numbers["p5"], numbers["p95"]) == (len(ids), 0.5, 0.0, 1.0)


def test_calls_are_listed_once_through_pages_of_any_size(shared: Service, request_id: str) -> None:
    for limit in (11, 1000):
        calls = shared.items(f"/calls?project_id={PROJECT}&limit={limit}")
        assert [call["id"] for call in calls] == [f"call-{number:04d}" for number in range(CALLS)]
        named = shared.items(f"/calls?project_id={PROJECT}&limit={limit}&ids_only=true")
        assert named == [{"project_id": PROJECT, "id": call["id"]} for call in calls]
    one = f"/calls?project_id={PROJECT}&call_id=call-0003"
    assert shared.items(f"{one}&ids_only=true") == [{"project_id": PROJECT, "id": "call-0003"}]
    assert shared.items(one) == calls[3:4]
    begun = {"project_id": "acme/open", "id": "1", "trace_id": "1", "op_name": "ask", "inputs": {}, "attributes": {}}
    assert shared.post("/v2/acme/open/call/start", {"start": begun}).status == 200
    assert shared.items("/calls?project_id=acme/open&ids_only=true") == []


def test_every_project_with_calls_is_listed_once_also_right_after_its_first_call(shared: Service) -> None:
    made = [f"acme/listed-{number}" for number in range(5)]
    for project in made:
        shared.log_calls(project, [f"{number}" for number in range(20)])
    for limit in (1, 3, 1000):
        listed = [item["project_id"] for item in shared.items(f"/projects?limit={limit}")]
        assert [project for project in listed if project.startswith("acme/listed-")] == made
        assert len(set(listed)) == len(listed)


def test_requests_are_listed_newest_first_through_pages_of_any_size(shared: Service) -> None:
    made = [shared.submit("acme/many", [], []) for _ in range(25)]
    for limit in (4, 1000):
        listed = shared.items(f"/score-requests?project_id=acme/many&limit={limit}")
        assert [request["request_id"] for request in listed] == made[::-1]
    newest = shared.get("/score-requests?limit=1").json["items"]
    assert newest[0]["request_id"] == made[-1]


def test_the_cursors_of_one_list_are_refused_by_every_other(shared: Service, request_id: str) -> None:
    calls, scores = f"/calls?project_id={PROJECT}", f"/scores?project_id={PROJECT}"
    gaps = f"/scores/gaps?project_id={PROJECT}&scorer_ref=callscore:///scorer/refusal:latest"
    lists = [calls, scores, gaps, f"/score-requests/{request_id}/tasks?status=succeeded", "/score-requests?"]
    lists += [f"/scorers?project_id={PROJECT}"]
    shared.submit(PROJECT, [], [])
    cursors = {path: shared.get(f"{path}&limit=1").json["next_cursor"] for path in lists}
    for path in lists:
        taken = [of for of, cursor in cursors.items() if shared.get(f"{path}&cursor={cursor}").status != 422]
        # A call id may look like anything, so that gaps can only tell what is none.
        assert [of for of in taken if path != gaps or of in (calls, scores, gaps)] == [path]


def test_what_was_never_accepted_is_404(shared: Service) -> None:
    for path in ("/score-requests/nothing", "/score-requests/nothing/tasks", "/score-requests/%00"):
        assert shared.get(path).status == 404
