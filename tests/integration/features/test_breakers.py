"""A scorer whose provider is dead pauses, says why, and resumes with its backlog. Nothing of it fails."""

import re
import time
from typing import Any
from urllib.parse import quote

from tests.asking import Asking, ask, tasks, wait_for
from tests.command import run, said
from tests.service import Service, until


def breaker(service: Service, name: str = "asks") -> Any:
    """The breaker of a scorer; None while it has none."""
    return next((found for found in service.items("/breakers") if found["scorer_name"] == name), None)


def wait_open(service: Service, name: str = "asks") -> Any:
    return until(lambda: breaker(service, name), lambda found: found is not None and found["state"] != "closed")


def test_row_9_a_bad_key_pauses_at_once_says_why_and_its_backlog_is_scored_when_it_is_mended(asking: Asking) -> None:
    service, provider = asking.start(scorer_attempts=1, scorer_concurrency=5), asking.provider
    provider.mood = "locked"
    request = ask(service, 300, "asks", "not_empty")
    opened = wait_open(service)
    assert opened["reason"].startswith("ClientResponseError: 401")
    assert opened["state"] in ("open", "half_open")
    assert service.metrics()["callscore_breakers_open"] == 1
    # The other scorer goes on, what is paused says so, and nothing has failed.
    service.wait_for_tasks(request, "succeeded", 300)
    counts = service.wait_for_tasks(request, "paused", 299)
    assert counts["paused"] + counts["running"] == 300
    assert counts["failed"] == counts["queued"] == counts["retrying"] == 0
    shown = tasks(service, request, "paused")
    assert 295 <= len(shown) <= 300
    # Not the same for all: each look at the provider has a reason of its own.
    assert all(task["reason"].startswith("ClientResponseError: 401") for task in shown)
    assert all(task["next_at"] > task["since"] for task in shown)
    told = [line for line in said(run(service, "status", request)) if line.startswith("waiting")]
    assert len(told) == 1
    assert re.search(r"\d+ tasks? paused: ClientResponseError: 401.*; next attempt 20", told[0])
    # Few were asked, and then one at a time.
    assert len(provider.times()) <= 5 + 8
    provider.mood = "well"
    done = service.wait_finished(request)["tasks"]
    assert (done["succeeded"], done["failed"]) == (600, 0)
    assert breaker(service)["state"] == "closed"
    assert breaker(service)["reason"] is None
    metrics = service.metrics()
    assert metrics["callscore_breakers_open"] == 0
    assert metrics['callscore_tasks_total{status="succeeded"}'] == 600
    assert metrics['callscore_tasks_total{status="failed"}'] == 0
    assert metrics['callscore_tasks_total{status="retrying"}'] > 0


def test_row_9_a_provider_that_fails_is_left_in_peace_and_asked_by_one_task_now_and_then(asking: Asking) -> None:
    service, provider = asking.start(scorer_concurrency=10), asking.provider
    provider.mood = "failing"
    request = ask(service, 200)
    wait_open(service)
    opened = time.monotonic()
    until(lambda: time.monotonic() > opened + 5)
    # Ten to open it, those that were under way, and one after 1, 2 and 4 seconds.
    assert 10 <= len(provider.times()) <= 25
    provider.mood = "well"
    assert service.wait_finished(request)["tasks"]["succeeded"] == 200


def test_row_9_a_provider_that_hangs_pauses_its_scorer_and_no_task_is_failed_for_it(asking: Asking) -> None:
    service, provider = asking.start(timeout=2, scorer_concurrency=10), asking.provider
    provider.mood = "hanging"
    request = ask(service, 100)
    assert wait_open(service)["reason"].startswith("scorer_timeout")
    provider.mood = "well"
    assert service.wait_finished(request)["tasks"]["succeeded"] == 100


def test_row_9_a_breaker_is_closed_by_hand_by_name_or_ref(asking: Asking) -> None:
    service, provider = asking.start(), asking.provider
    provider.mood = "locked"
    request = ask(service, 20)
    # Until the next look at the provider is seconds away.
    found = until(lambda: wait_open(service), lambda found: found["state"] == "open" and len(provider.times()) > 3)
    provider.mood = "well"
    for wanted in ("asks", quote(found["scorer_ref"], safe="")):
        answer = service.post(f"/breakers/{wanted}/close", None)
        assert answer.status == 200, answer.raw
        assert [item["state"] for item in answer.json["items"]] == ["closed"]
    assert service.wait_finished(request, 10)["tasks"]["succeeded"] == 20
    assert service.post("/breakers/nobody/close", None).status == 404


def test_row_9_a_project_whose_own_scorer_is_paused_pauses_nobody_who_published_the_same(asking: Asking) -> None:
    service, provider = asking.start(scorer_attempts=1), asking.provider
    impatient, patient = "acme/impatient", "acme/patient"
    for project, timeout in ((impatient, 0.05), (patient, 20)):
        scorer = {"name": "mine", "kind": "asks", "params": {}, "policy": {"timeout": timeout}, "project_id": project}
        answer = service.post("/scorers", scorer)
        assert answer.status == 201, answer.raw
        service.log_calls(project, [f"call-{n}" for n in range(20)])
    ref = answer.json["ref"]
    provider.mood = "hanging"
    paused = service.submit(impatient, [f"call-{n}" for n in range(20)], [ref])
    opened = wait_open(service, "mine")
    assert opened["project_id"] == impatient
    provider.mood = "well"
    done = service.wait_finished(service.submit(patient, [f"call-{n}" for n in range(20)], [ref]))
    assert done["tasks"]["succeeded"] == 20
    found = {item["project_id"]: item["failures"] for item in service.items("/breakers")}
    assert found[patient] == 0
    assert service.post(f"/score-requests/{paused}/cancel", {}).status == 200


def test_row_9_what_was_paused_when_the_service_was_killed_is_scored_afterwards(asking: Asking) -> None:
    service, provider = asking.start(scorer_attempts=1, scorer_concurrency=5), asking.provider
    provider.mood = "locked"
    request = ask(service, 50)
    wait_for(service, request, "paused", 45)
    service.kill()
    service.start()
    provider.mood = "well"
    done = service.wait_finished(request)["tasks"]
    assert (done["succeeded"], done["failed"]) == (50, 0)
    assert set(provider.succeeded.values()) == {1}


def test_row_9_what_is_paused_can_be_cancelled_and_tried_again_when_the_provider_is_back(asking: Asking) -> None:
    service, provider = asking.start(scorer_concurrency=5), asking.provider
    provider.mood = "locked"
    request = ask(service, 50)
    wait_for(service, request, "paused", 45)
    assert service.post(f"/score-requests/{request}/cancel", {}).status == 200
    cancelled = service.wait_finished(request, 10)
    assert (cancelled["status"], cancelled["tasks"]["cancelled"]) == ("cancelled", 50)
    provider.mood = "well"
    assert service.post(f"/score-requests/{request}/retry", {"statuses": ["cancelled"]}).status == 200
    done = service.wait_finished(request)
    assert (done["status"], done["tasks"]["succeeded"]) == ("completed", 50)
    assert set(provider.succeeded.values()) == {1}
