"""Cancel a running request."""

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.service import STATES, Service, until


def cancel(service: Service, request_id: str) -> Any:
    answer = service.post(f"/score-requests/{request_id}/cancel", {})
    assert answer.status in (200, 202), answer.raw  # 202: it is in the log, and not carried out everywhere yet
    return answer.json


def check_sums(service: Service, request_id: str) -> dict[str, int]:
    """The counts of a request, which agree with its tasks."""
    tasks: dict[str, int] = service.status(request_id)["tasks"]
    assert sum(tasks[state] for state in STATES) == tasks["total"]
    listed = Counter(task["status"] for task in service.items(f"/score-requests/{request_id}/tasks?limit=1000"))
    assert {state: tasks[state] for state in STATES if tasks[state]} == dict(listed)
    return tasks


def test_nothing_of_a_cancelled_request_starts_any_more_and_its_sums_add_up(gated: Service, gate: Path) -> None:
    ids = [f"call-{n}" for n in range(2_000)]
    gated.log_calls("acme/stop", ids, str(gate))
    request = gated.submit("acme/stop", ids, gated.refs("gated"))
    gated.wait_for_tasks(request, "running", 20)
    assert cancel(gated, request)["request_id"] == request
    finished = gated.wait_finished(request, 30)
    assert (finished["status"], finished["tasks"]["cancelled"]) == ("cancelled", 2_000)
    assert check_sums(gated, request)["cancelled"] == 2_000
    gate.write_text("too late")  # nobody is there who would see it
    scores = gated.items("/scores?project_id=acme/stop&limit=1000")
    assert {(score["status"], score["attempts"]) for score in scores} == {("cancelled", 1)}
    assert 1 <= len(scores) <= 20  # those that ran when they were stopped
    tasks = gated.items(f"/score-requests/{request}/tasks?limit=1000")
    assert {task["reason"] for task in tasks} == {"request_cancelled"}


def test_what_had_ended_stays_as_it_ended(gated: Service, gate: Path) -> None:
    gated.log_calls("acme/partly", ["stuck"], str(gate))
    done = gate.with_name("done")
    done.write_text("good")
    gated.log_calls("acme/partly", ["good"], str(done))
    request = gated.submit("acme/partly", ["good", "stuck"], gated.refs("gated"))
    gated.wait_for_tasks(request, "succeeded")
    cancel(gated, request)
    finished = gated.wait_finished(request, 30)
    assert (finished["status"], finished["tasks"]["succeeded"], finished["tasks"]["cancelled"]) == ("cancelled", 1, 1)
    [score] = gated.items("/scores?project_id=acme/partly&status=succeeded")
    assert score["call_id"] == "good"


def test_a_task_that_another_request_still_wants_goes_on(gated: Service, gate: Path) -> None:
    ids = [f"call-{n}" for n in range(30)]
    gated.log_calls("acme/both", ids, str(gate))
    refs = gated.refs("gated")
    mine, theirs = (gated.submit("acme/both", ids, refs) for _ in range(2))
    gated.wait_for_tasks(mine, "running", 20)
    cancel(gated, mine)
    assert gated.wait_finished(mine, 30)["tasks"]["cancelled"] == 30
    assert gated.status(theirs)["status"] == "running"
    gate.write_text("go")
    assert gated.wait_finished(theirs)["tasks"]["succeeded"] == 30
    assert check_sums(gated, mine)["cancelled"] == 30
    tasks = gated.items(f"/score-requests/{theirs}/tasks?limit=1000")
    assert {(task["round"], task["attempts"]) for task in tasks} == {(1, 1)}  # none was stopped and run again


def test_a_parked_task_is_cancelled_unless_another_request_wants_it(shared: Service) -> None:
    refs = shared.refs("not_empty")
    mine = shared.submit("acme/parked", ["a", "b"], refs)
    theirs = shared.submit("acme/parked", ["b"], refs)
    shared.wait_for_tasks(mine, "waiting_for_call", 2)
    shared.wait_for_tasks(theirs, "waiting_for_call")
    cancel(shared, mine)
    assert shared.wait_finished(mine, 30)["tasks"]["cancelled"] == 2
    # The parked task itself ends at the speed of the log.
    scores = until(lambda: shared.items("/scores?project_id=acme/parked"), seconds=10)
    assert [(score["call_id"], score["status"], score["attempts"]) for score in scores] == [("a", "cancelled", 0)]
    shared.log_calls("acme/parked", ["a", "b"])
    assert shared.wait_finished(theirs)["tasks"]["succeeded"] == 1
    assert check_sums(shared, mine)["cancelled"] == 2
    again = shared.wait_finished(shared.submit("acme/parked", ["a", "b"], refs))
    assert (again["tasks"]["succeeded"], again["tasks"]["reused"]) == (2, 1)
    rounds = {task["call_id"]: task["round"] for task in shared.items(f"/score-requests/{again['request_id']}/tasks")}
    assert rounds == {"a": 2, "b": 1}


def test_a_request_whose_tasks_wait_for_another_attempt_is_cancelled(make_service: Callable[..., Service]) -> None:
    service = make_service(scorers="tests.plugin_scorers", scorer_attempts=20).start()
    ids = [f"call-{n}" for n in range(20)]
    service.log_calls("acme/retrying", ids)
    request = service.submit("acme/retrying", ids, service.refs("raises"))
    # Tasks that are cancelled before they started have no score.
    until(lambda: service.status(request)["tasks"], lambda tasks: tasks["queued"] == 0 and tasks["retrying"] > 10)
    cancel(service, request)
    assert service.wait_finished(request, 30)["tasks"]["cancelled"] == 20
    scores = until(
        lambda: service.items("/scores?project_id=acme/retrying&limit=1000"), lambda found: len(found) == 20, 10
    )
    assert {score["status"] for score in scores} == {"cancelled"}
    tried = [score["attempts"] for score in scores]
    time.sleep(1.2)  # longer than the pause before their next attempt
    again = service.items("/scores?project_id=acme/retrying&limit=1000")
    assert [score["attempts"] for score in again] == tried


def test_a_finished_request_is_409_with_its_status(shared: Service) -> None:
    shared.log_calls("acme/over", ["a"])
    request = shared.submit("acme/over", ["a"], shared.refs("not_empty"))
    shared.wait_finished(request)
    answer = shared.post(f"/score-requests/{request}/cancel", {})
    assert answer.status == 409
    [detail] = answer.json["detail"]
    assert (detail["type"], detail["loc"]) == ("request_completed", ["path", "request_id"])
    waiting = shared.submit("acme/over", ["never"], shared.refs("not_empty"))
    cancel(shared, waiting)
    shared.wait_finished(waiting, 30)
    answer = shared.post(f"/score-requests/{waiting}/cancel", {})
    assert (answer.status, answer.json["detail"][0]["type"]) == (409, "request_cancelled")
    assert shared.post("/score-requests/nothing/cancel", {}).status == 404


def test_a_cancelled_request_stays_so_after_a_kill(gated: Service, gate: Path) -> None:
    ids = [f"call-{n}" for n in range(500)]
    gated.log_calls("acme/killed", ids, str(gate))
    request = gated.submit("acme/killed", [*ids, "never"], gated.refs("gated"))
    other = gated.submit("acme/killed", ids[:5], gated.refs("gated"))
    gated.wait_for_tasks(request, "running", 10)
    cancel(gated, request)
    gated.kill()
    gate.write_text("go")
    gated.start()
    assert gated.wait_finished(request)["tasks"]["cancelled"] == 501
    assert gated.wait_finished(other)["tasks"]["succeeded"] == 5
    assert check_sums(gated, request)["cancelled"] == 501
    scores = gated.items("/scores?project_id=acme/killed&status=succeeded")
    assert {score["call_id"] for score in scores} == set(ids[:5])
