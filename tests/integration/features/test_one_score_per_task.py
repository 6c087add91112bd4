"""Work has a derived id, is done once whoever asks for it, and has one visible score."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.brokers import on_both_logs
from tests.service import Service

pytestmark = on_both_logs

CALLS = [f"call-{n}" for n in range(40)]


@pytest.fixture
def counted(make_service: Callable[..., Service], tmp_path: Path) -> Service:
    """A service with the scorer `counting`, which adds a byte to a call's file when it starts."""
    service = make_service(scorers="tests.gated_scorers").start()
    published = {"name": "counting", "kind": "Counted", "params": {"number": 1}, "project_id": "acme/once"}
    assert service.post("/scorers", published).status == 201
    service.log_calls("acme/once", [{"id": call_id, "output": str(tmp_path / call_id)} for call_id in CALLS])
    return service


def ref(service: Service) -> str:
    [found] = [item["ref"] for item in service.items("/scorers?project_id=acme/once") if item["name"] == "counting"]
    return str(found)


def runs(folder: Path) -> list[int]:
    return [(folder / call_id).stat().st_size for call_id in CALLS]


def task_ids(service: Service, request: str) -> dict[str, str]:
    return {task["call_id"]: task["task_id"] for task in service.items(f"/score-requests/{request}/tasks")}


def finished(service: Service, *requests: str) -> list[Any]:
    return [service.wait_finished(request)["tasks"] for request in requests]


def test_requests_that_race_for_the_same_tasks_share_each_run_and_each_counts_its_outcome(
    counted: Service, tmp_path: Path
) -> None:
    with ThreadPoolExecutor(8) as pool:
        refs = [ref(counted)]
        requests = list(pool.map(lambda _: counted.submit("acme/once", CALLS, refs), range(8)))
    counts = finished(counted, *requests)
    assert [count["succeeded"] for count in counts] == [len(CALLS)] * 8
    assert runs(tmp_path) == [1] * len(CALLS)
    assert len(set(requests)) == 8
    assert all(task_ids(counted, request) == task_ids(counted, requests[0]) for request in requests)
    assert len(counted.items("/scores?project_id=acme/once")) == len(CALLS)


def test_requests_that_name_the_same_tasks_share_failures_too_and_a_later_request_runs_them_again(
    counted: Service, tmp_path: Path
) -> None:
    failing = {"name": "failing", "kind": "Counted", "params": {"number": 1, "fails": True}, "project_id": "acme/once"}
    published = counted.post("/scorers", failing | {"policy": {"attempts": 1, "concurrency": 2}})
    assert published.status == 201, published.raw
    refs = [published.json["ref"]]
    counts = finished(counted, *[counted.submit("acme/once", CALLS, refs) for _ in range(3)])
    assert [count["failed"] for count in counts] == [len(CALLS)] * 3
    assert runs(tmp_path) == [1] * len(CALLS)
    [later] = finished(counted, counted.submit("acme/once", CALLS, refs))
    assert later["failed"] == len(CALLS)
    assert runs(tmp_path) == [2] * len(CALLS)


def test_asking_again_runs_nothing_and_says_that_it_was_reused(counted: Service, tmp_path: Path) -> None:
    [first] = finished(counted, counted.submit("acme/once", CALLS, [ref(counted)]))
    before = counted.items("/scores?project_id=acme/once")
    [again] = finished(counted, counted.submit("acme/once", CALLS, [ref(counted)]))
    assert (first["succeeded"], first["reused"]) == (len(CALLS), 0)
    assert (again["succeeded"], again["reused"]) == (len(CALLS), len(CALLS))
    assert counted.items("/scores?project_id=acme/once") == before
    assert runs(tmp_path) == [1] * len(CALLS)


def test_a_call_named_twice_in_one_request_is_one_task(counted: Service, tmp_path: Path) -> None:
    [count] = finished(counted, counted.submit("acme/once", [*CALLS, *CALLS], [ref(counted), ref(counted)]))
    assert (count["total"], count["succeeded"]) == (len(CALLS), len(CALLS))
    assert runs(tmp_path) == [1] * len(CALLS)


def test_another_version_of_a_scorer_is_other_work_with_a_score_of_its_own(counted: Service, tmp_path: Path) -> None:
    old = ref(counted)
    finished(counted, counted.submit("acme/once", CALLS, [old]))
    published = {"name": "counting", "kind": "Counted", "params": {"number": 2}, "project_id": "acme/once"}
    new = counted.post("/scorers", published).json["ref"]
    assert new != old
    [count] = finished(counted, counted.submit("acme/once", CALLS, [new]))
    assert count["reused"] == 0
    assert runs(tmp_path) == [2] * len(CALLS)
    scores = counted.items("/scores?project_id=acme/once&limit=1000")
    assert len({(score["call_id"], score["scorer_ref"]) for score in scores}) == len(scores) == 2 * len(CALLS)
    assert {(score["scorer_ref"], score["output"]["score"]) for score in scores} == {(old, 1), (new, 2)}
