"""Which calls lack a score, and why; scoring exactly these."""

from collections import Counter
from typing import Any
from urllib.parse import urlencode

from tests.asking import Asking, wait_for
from tests.command import run, said
from tests.service import PARTITIONS, Service, until

PROJECT = "acme/gaps"


def gaps(service: Service, ref: str, project: str = PROJECT, **params: object) -> list[dict[str, Any]]:
    return service.items("/scores/gaps?" + urlencode({"project_id": project, "scorer_ref": ref, **params}))


def reasons(service: Service, ref: str, project: str = PROJECT, **params: object) -> dict[str, str]:
    return {gap["call_id"]: gap["reason"] for gap in gaps(service, ref, project, **params)}


def counted(service: Service, ref: str, project: str = PROJECT) -> dict[str, Any]:
    answer = service.get("/scores/gaps/summary?" + urlencode({"project_id": project, "scorer_ref": ref}))
    assert answer.status == 200, answer.raw
    found: dict[str, Any] = answer.json
    return found


def test_every_call_without_a_score_says_why(asking: Asking) -> None:
    service = asking.start(scorer_attempts=2, scorer_backoff=0.01, scorer_concurrency=1, scorer_timeout=60)
    calls = ("scored", "never", "failed", "cancelled", "held", "queued", "later", "behind")
    service.log_calls(PROJECT, calls)
    raises, waits, hangs, fine = service.refs("raises", "waits_a_day", "hangs_softly", "not_empty")

    service.wait_finished(service.submit(PROJECT, ["scored"], [fine]))
    service.wait_finished(service.submit(PROJECT, ["failed"], [raises]))
    late = service.submit(PROJECT, ["not-logged"], [fine, raises])
    service.wait_for_tasks(late, "waiting_for_call", 2)
    later = service.submit(PROJECT, ["later"], [waits])
    service.wait_for_tasks(later, "retrying")
    held = service.submit(PROJECT, ["held"], [hangs])
    service.wait_for_tasks(held, "running")
    queued = service.submit(PROJECT, ["queued", "behind"], [hangs])
    cancelled = service.submit(PROJECT, ["cancelled"], [hangs])
    service.post(f"/score-requests/{cancelled}/cancel", {})
    service.wait_finished(cancelled)
    assert service.status(queued)["tasks"]["queued"] == 2

    everything = dict.fromkeys(calls, "never_asked")
    assert reasons(service, fine) == {
        **{call_id: "never_asked" for call_id in calls if call_id != "scored"},
        "not-logged": "waiting_for_call",
    }
    assert reasons(service, raises) == {**everything, "failed": "failed", "not-logged": "waiting_for_call"}
    assert reasons(service, waits) == {**everything, "later": "retrying"}
    steered = {"held": "running", "queued": "queued", "behind": "queued", "cancelled": "cancelled"}
    assert reasons(service, hangs) == {**everything, **steered}
    [failed] = gaps(service, raises, reason="failed")
    assert failed["error"] == {"type": "LookupError", "message": "there is no such thing"}
    assert failed["attempts"] == 2
    assert failed["since"] is not None
    [retrying] = gaps(service, waits, reason="retrying")
    assert (retrying["error"]["type"], retrying["attempts"]) == ("retry_later", 1)
    assert retrying["next_at"] > retrying["since"]
    assert counted(service, raises) == {
        "scorer_ref": raises,
        "calls": len(calls) + 1,
        "scored": 0,
        "gaps": len(calls) + 1,
        "reasons": {"never_asked": len(calls) - 1, "waiting_for_call": 1, "failed": 1},
        "errors": {"LookupError": 1},
    }
    latest = raises.rpartition(":")[0] + ":latest"
    assert counted(service, latest) == counted(service, raises)

    asking.provider.mood = "locked"
    (asks,) = service.refs("asks")
    paused = service.submit(PROJECT, ["scored", "never"], [asks])
    wait_for(service, paused, "paused", 2)
    # Now and then one of them runs, to see how the provider is.
    until(lambda: reasons(service, asks, reason="paused"), lambda paused: paused.keys() == {"scored", "never"})
    service.kill()
    service.start()
    assert reasons(service, raises) == {**everything, "failed": "failed", "not-logged": "waiting_for_call"}


def test_gaps_are_counted_paged_and_scored_exactly(shared: Service) -> None:
    project = f"{PROJECT}-many"
    ids = [f"call-{n:04d}" for n in range(600)]
    shared.log_calls(project, ids)
    fine, other = shared.refs("not_empty", "valid_json")
    scored = ids[::7]
    shared.wait_finished(shared.submit(project, scored, [fine]))
    shared.wait_finished(shared.submit(project, ids[:50], [other]))
    missing = [call_id for call_id in ids if call_id not in scored]
    assert [gap["call_id"] for gap in gaps(shared, fine, project, limit=37)] == missing
    assert counted(shared, fine, project)["reasons"] == {"never_asked": len(missing)}
    assert counted(shared, other, project)["scored"] == 50

    lines = said(run(shared, "scores", "--project", project, "--scorer", "not_empty", "--gaps"))
    assert lines[-1] == f"{len(scored)} of 600 calls have a score, {len(missing)} never asked."
    command = ("submit", "--project", project, "--scorer", fine, "--scorer", other, "--gaps")
    assert said(run(shared, *command))[0].startswith(f"{len(missing) + 550:,} tasks: {len(missing) + 550:,} succeeded")
    tasks = Counter(
        request["tasks"]["total"] for request in shared.items(f"/score-requests?{urlencode({'project_id': project})}")
    )
    assert tasks == Counter([len(scored), 50, len(missing), 550])
    assert gaps(shared, fine, project) == gaps(shared, other, project) == []
    done = run(shared, *command)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"There are no gaps.\n")


def test_a_retry_is_under_way_and_a_rescore_fills_no_gap_twice(shared: Service) -> None:
    project = f"{PROJECT}-again"
    ids = [f"call-{n}" for n in range(PARTITIONS * 2)]
    shared.log_calls(project, ids, "hang")
    (swallows,) = shared.refs("hangs_softly")
    request = shared.submit(project, ids, [swallows])
    shared.post(f"/score-requests/{request}/cancel", {})
    shared.wait_finished(request)
    assert set(reasons(shared, swallows, project).values()) == {"cancelled"}
    shared.post(f"/score-requests/{request}/retry", {})
    shared.wait_for_tasks(request, "running", len(ids))
    assert set(reasons(shared, swallows, project).values()) == {"running"}
    shared.post(f"/score-requests/{request}/cancel", {})
    shared.wait_finished(request)

    (fine,) = shared.refs("not_empty")
    again = shared.submit(project, ids[:3], [fine], **{"Callscore-Rescore": "only"})
    shared.wait_finished(again)
    assert set(reasons(shared, fine, project)) == set(ids[3:])


def test_a_scorer_that_nobody_knows_has_no_gaps_to_name(shared: Service) -> None:
    for view in ("/scores/gaps", "/scores/gaps/summary"):
        params = urlencode({"project_id": PROJECT, "scorer_ref": "callscore:///scorer/nobody:latest"})
        answer = shared.get(f"{view}?{params}")
        assert (answer.status, answer.json["detail"][0]["type"]) == (422, "scorer_ref_not_found")
