"""Whoever submits gets a receipt, the id of a request that can be asked about for ever."""

from collections.abc import Callable
from pathlib import Path

from app.keys import add_key
from tests.brokers import on_both_logs
from tests.service import STATES, Service, complete_call

pytestmark = on_both_logs

PROJECT = "acme/receipts"


def test_the_answer_is_the_contracts_and_its_location_tells_how_the_request_stands(shared: Service) -> None:
    shared.log_calls(PROJECT, ["a", "b"])
    refs = shared.refs("not_empty", "refusal")
    body = {"project_id": PROJECT, "call_ids": ["a", "b", "later"], "scorer_refs": refs}
    answer = shared.post("/calls/score", body | {"wb_user_id": "mallory"})
    assert (answer.status, answer.raw) == (200, b"{}")
    request = shared.get(answer.headers["Location"]).json
    assert (request["project_id"], request["scorer_refs"], request["requested_by"]) == (PROJECT, refs, None)
    assert request["tasks"]["total"] == sum(request["tasks"][state] for state in STATES) == 6
    assert request["status"] == "running"  # the call `later` has not come
    shared.log_calls(PROJECT, ["later"])
    assert shared.wait_finished(request["request_id"])["tasks"]["succeeded"] == 6


def test_who_prefers_it_gets_the_receipt_as_the_body(shared: Service) -> None:
    shared.log_calls(PROJECT, ["a", "b"])
    refs = shared.refs("not_empty", "valid_json", "not_empty")
    body = {"project_id": PROJECT, "call_ids": ["a", "b", "a"], "scorer_refs": refs}
    answer = shared.post("/calls/score", body, Prefer="respond-async, return=representation")
    assert answer.headers["Preference-Applied"] == "return=representation"
    receipt = answer.json
    assert receipt == {
        "request_id": receipt["request_id"],
        "status_url": f"/score-requests/{receipt['request_id']}",
        "tasks": 4,
    }
    assert answer.headers["Location"] == receipt["status_url"]
    assert shared.get(receipt["status_url"]).status == 200


def test_a_receipt_is_good_after_a_kill(make_service: Callable[..., Service]) -> None:
    service = make_service(scorers="tests.plugin_scorers").start()
    ids = [f"call-{n}" for n in range(200)]
    service.log_calls(PROJECT, ids)
    request = service.submit(PROJECT, ids, service.refs("patient"))
    service.kill()
    service.start()
    assert service.wait_finished(request)["tasks"]["succeeded"] == 200


def test_a_receipt_is_no_good_to_others(make_service: Callable[..., Service], tmp_path: Path) -> None:
    file = tmp_path / "keys"
    mine, theirs = (add_key(file, name, [f"{name}/*"]) for name in ("acme", "other"))
    service = make_service(api_keys=file).start()
    headers = {"Authorization": f"Bearer {mine}"}
    batch = [complete_call(PROJECT, {"id": "a", "output": "x"})]
    assert service.post(f"/v2/{PROJECT}/calls/complete", {"batch": batch}, **headers).status == 200
    assert service.get("/projects", **headers).json["items"] == [{"project_id": PROJECT}]
    assert service.get("/projects?limit=1", Authorization=f"Bearer {theirs}").json == {"items": [], "next_cursor": None}
    refs = [item["ref"] for item in service.get("/scorers", **headers).json["items"] if item["name"] == "not_empty"]
    body = {"project_id": PROJECT, "call_ids": ["a"], "scorer_refs": refs}
    location = service.post("/calls/score", body, **headers).headers["Location"]
    assert service.get(location, **headers).status == 200
    assert service.get(location, Authorization=f"Bearer {theirs}").status == 404
