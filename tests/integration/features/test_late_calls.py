"""A task waits for a call that has not arrived."""

import time
from collections.abc import Callable
from datetime import datetime

from tests.asking import PROJECT, tasks, wait_for
from tests.length import at_length
from tests.service import Service, complete_call


def test_a_parked_task_starts_within_a_second_of_its_calls_end(service: Service) -> None:
    others = [f"never-{n}" for n in range(at_length(500, 20_000))]
    for first in range(0, len(others), 500):
        service.submit(PROJECT, others[first : first + 500], service.refs("not_empty"))
    delays = []
    for number in range(10):
        call = complete_call(PROJECT, {"id": f"late-{number}", "output": "here"})
        request = service.submit(PROJECT, [call["id"]], service.refs("not_empty"))
        [task] = wait_for(service, request, "waiting_for_call")
        assert (task["reason"], task["attempts"]) == ("waiting_for_call", 0)
        assert task["next_at"] > task["since"]
        start = {name: call[name] for name in ("project_id", "id", "trace_id", "op_name", "started_at", "inputs")}
        assert service.post(f"/v2/{PROJECT}/call/start", {"start": start | {"attributes": {}}}).status == 200
        assert tasks(service, request)[0]["status"] == "waiting_for_call"
        end = {name: call[name] for name in ("project_id", "id", "ended_at", "output", "summary", "started_at")}
        sent = time.time()
        assert service.post(f"/v2/{PROJECT}/call/end", {"end": end}).status == 200
        service.wait_finished(request)
        [task] = tasks(service, request)
        assert (task["status"], task["attempts"]) == ("succeeded", 1)
        delays.append(datetime.fromisoformat(task["since"]).timestamp() - sent)
    print(f"late calls: scored {min(delays):.3f} to {max(delays):.3f} s after their end was sent")
    assert sorted(delays)[at_length(5, 9)] < 1.0


def test_after_the_limit_the_task_fails_with_the_reason_and_asking_again_once_the_call_is_there_scores_it(
    make_service: Callable[..., Service],
) -> None:
    service = make_service(call_wait=1).start()
    submitted = time.time()
    refs = service.refs("not_empty")
    request = service.submit(PROJECT, ["never"], refs)
    service.wait_finished(request)
    [task] = tasks(service, request)
    assert (task["status"], task["reason"], task["attempts"]) == ("failed", "call_not_found", 0)
    waited = datetime.fromisoformat(task["since"]).timestamp() - submitted
    assert 1.0 <= waited < at_length(10, 2)
    [score] = service.items(f"/scores?project_id={PROJECT}")
    assert score["error"]["message"] == "call never did not arrive within 1 s"

    service.log_calls(PROJECT, ["never"], "here after all")
    again = service.submit(PROJECT, ["never"], refs)
    assert service.wait_finished(again)["tasks"]["succeeded"] == 1
    [task] = tasks(service, again)
    assert (task["round"], task["status"]) == (2, "succeeded")
    [score] = service.items(f"/scores?project_id={PROJECT}")
    assert score["status"] == "succeeded"
    assert service.status(request)["tasks"]["failed"] == 1
