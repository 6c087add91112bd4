"""Rule 8: no request can starve another, and work that is known is never run again."""

from collections.abc import Callable

from tests.service import Service

PROJECT = "acme/fairness"


def log_calls(service: Service, ids: list[str], project: str = PROJECT) -> None:
    for start in range(0, len(ids), 500):
        service.log_calls(project, [{"id": call_id, "output": "an output"} for call_id in ids[start : start + 500]])


def test_a_small_request_is_done_while_a_huge_one_that_came_before_it_still_runs(
    make_service: Callable[..., Service],
) -> None:
    service = make_service(scorers="tests.plugin_scorers").start()
    ids = [f"call-{n}" for n in range(4000)]
    log_calls(service, ids)
    huge = service.submit(PROJECT, ids, service.refs("in_process", "not_empty", "valid_json"))
    small = service.submit(PROJECT, ids[-5:], service.refs("patient", "refusal"))
    assert service.wait_finished(small)["finished_at"] < service.wait_finished(huge)["finished_at"]


def test_requests_that_name_the_same_running_tasks_share_one_run_of_each(shared: Service) -> None:
    project, ids = "acme/shared", [f"call-{n}" for n in range(200)]
    log_calls(shared, ids, project)
    refs = shared.refs("patient", "not_empty")
    requests = [shared.submit(project, ids, refs) for _ in range(5)]
    counts = [shared.wait_finished(request)["tasks"] for request in requests]
    assert [count["succeeded"] for count in counts] == [len(ids) * len(refs)] * 5
    scores = shared.items(f"/scores?project_id={project}&limit=1000")
    assert len(scores) == len(ids) * len(refs)
    assert {score["attempts"] for score in scores} == {1}


def test_a_task_waits_for_its_call_and_runs_when_it_comes(shared: Service) -> None:
    project, refs = "acme/early", shared.refs("not_empty", "refusal")
    early = shared.submit(project, ["late"], refs)
    too = shared.submit(project, ["late"], refs[:1])
    log_calls(shared, ["late"], project)
    assert shared.wait_finished(early)["tasks"]["succeeded"] == 2
    assert shared.wait_finished(too)["tasks"]["succeeded"] == 1


def test_a_call_that_never_comes_fails_its_tasks_until_it_is_asked_for_again(
    make_service: Callable[..., Service],
) -> None:
    service = make_service(call_wait=0.3).start()
    refs = service.refs("not_empty")
    request = service.wait_finished(service.submit(PROJECT, ["late"], refs))
    assert (request["tasks"]["failed"], request["tasks"]["succeeded"]) == (1, 0)
    [score] = service.items(f"/scores?project_id={PROJECT}")
    assert score["error"]["type"] == "call_not_found"
    log_calls(service, ["late"])
    again = service.submit(PROJECT, ["late"], refs)
    assert service.wait_finished(again)["tasks"]["succeeded"] == 1
    [task] = service.items(f"/score-requests/{again}/tasks")
    assert (task["round"], task["status"]) == (2, "succeeded")
    [score] = service.items(f"/scores?project_id={PROJECT}")
    assert score["status"] == "succeeded"
    first = service.status(request["request_id"])
    assert first["tasks"]["failed"] == 1


def test_a_retry_survives_a_kill_and_starts_no_sooner_than_it_said(make_service: Callable[..., Service]) -> None:
    service = make_service(scorers="tests.plugin_scorers").start()
    ids = [f"call-{n}" for n in range(30)]
    log_calls(service, ids)
    request = service.submit(PROJECT, ids, service.refs("raises"))
    service.kill()
    service.start()
    assert service.wait_finished(request)["tasks"]["failed"] == len(ids)
    tasks = service.items(f"/score-requests/{request}/tasks")
    assert {(task["attempts"], task["reason"]) for task in tasks} == {(3, "LookupError")}


def test_a_call_that_ended_with_an_exception_and_no_output_fails_its_tasks(shared: Service) -> None:
    project = "acme/broken"
    shared.log_calls(project, [{"id": "broken", "output": None, "exception": "ValueError: boom"}])
    request = shared.wait_finished(shared.submit(project, ["broken"], shared.refs("not_empty")))
    assert request["tasks"]["failed"] == 1
    [score] = shared.items(f"/scores?project_id={project}")
    assert score["error"]["type"] == "call_has_no_output"
    assert score["lineage"].keys() >= {"scorer_kind", "scorer_digest", "input_digest"}
