"""`Idempotency-Key` on submit, and an explicit re-score."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

from app.keys import add_key
from tests.brokers import kafka_only
from tests.service import Answer, Service

REPRESENTATION = {"Prefer": "return=representation"}


def send(service: Service, project: str, call_ids: list[str], refs: list[str], **headers: str) -> Answer:
    body = {"project_id": project, "call_ids": call_ids, "scorer_refs": refs}
    return service.request("POST", "/calls/score", body, REPRESENTATION | headers)


def test_the_same_key_and_body_is_the_same_receipt_and_no_second_request(shared: Service) -> None:
    shared.log_calls("acme/same", ["a", "b"])
    refs = shared.refs("not_empty", "refusal")
    answers = [send(shared, "acme/same", ["a", "b"], refs, **{"Idempotency-Key": "k 1"}) for _ in range(3)]
    assert {(answer.status, answer.raw) for answer in answers} == {(200, answers[0].raw)}
    assert len({answer.headers["Location"] for answer in answers}) == 1
    request = shared.wait_finished(answers[0].json["request_id"])
    assert (request["tasks"]["total"], request["tasks"]["succeeded"], request["tasks"]["reused"]) == (4, 4, 0)
    assert [item["request_id"] for item in shared.items("/score-requests?project_id=acme/same")] == [
        request["request_id"]
    ]


def test_100_clients_that_race_under_one_key_make_one_request(shared: Service) -> None:
    ids = [f"call-{number}" for number in range(60)]
    shared.log_calls("acme/race", ids)
    refs = shared.refs("patient", "not_empty")
    with ThreadPoolExecutor(100) as pool:
        sent = [pool.submit(send, shared, "acme/race", ids, refs, **{"Idempotency-Key": "race"}) for _ in range(100)]
        answers = [future.result() for future in sent]
    assert {(answer.status, answer.raw) for answer in answers} == {(200, answers[0].raw)}
    request = shared.wait_finished(answers[0].json["request_id"])
    assert (request["tasks"]["total"], request["tasks"]["succeeded"], request["tasks"]["reused"]) == (120, 120, 0)
    assert len(shared.items(f"/score-requests/{request['request_id']}/tasks")) == 120
    assert len(shared.items("/score-requests?project_id=acme/race")) == 1


def test_clients_that_race_with_different_bodies_make_one_request_of_one_of_them(shared: Service) -> None:
    bodies = [[f"{number}-{n}" for n in range(number + 1)] for number in range(40)]
    refs = shared.refs("not_empty")
    ready = Barrier(len(bodies))

    def send_at_once(ids: list[str]) -> Answer:
        ready.wait()
        return send(shared, "acme/other", ids, refs, **{"Idempotency-Key": "k"})

    with ThreadPoolExecutor(len(bodies)) as pool:
        answers = list(pool.map(send_at_once, bodies))
    [won] = [answer for answer in answers if answer.status == 200]
    assert all(answer.status == 422 for answer in answers if answer is not won)
    meant = bodies[answers.index(won)]
    assert won.json["tasks"] == len(meant)
    shared.log_calls("acme/other", {call_id for ids in bodies for call_id in ids})
    assert shared.wait_finished(won.json["request_id"])["tasks"]["succeeded"] == len(meant)
    tasks = shared.items(f"/score-requests/{won.json['request_id']}/tasks")
    assert sorted(task["call_id"] for task in tasks) == sorted(meant)


def test_another_body_under_the_key_is_refused_in_the_contracts_shape(shared: Service) -> None:
    refs = shared.refs("not_empty", "refusal")
    first = send(shared, "acme/body", ["a", "b"], refs, **{"Idempotency-Key": "k"})
    assert first.status == 200
    others: list[tuple[list[str], list[str], dict[str, str]]] = [
        (["a"], refs, {}),
        (["b", "a"], refs, {}),
        (["a", "b"], refs[:1], {}),
        (["a", "b"], refs, {"Callscore-Rescore": "again"}),
    ]
    for call_ids, scorers, headers in others:
        refused = send(shared, "acme/body", call_ids, scorers, **{"Idempotency-Key": "k"}, **headers)
        assert refused.status == 422
        [detail] = refused.json["detail"]
        assert (detail["loc"], detail["type"]) == (["header", "Idempotency-Key"], "idempotency_key_reused")
    assert send(shared, "acme/body2", ["a"], refs, **{"Idempotency-Key": "k"}).status == 200  # a project's own
    assert send(shared, "acme/body", ["a"], refs, **{"Idempotency-Key": "k" * 513}).status == 422
    assert len(shared.items("/score-requests?project_id=acme/body")) == 1


def test_a_key_is_the_users_own(make_service: Callable[..., Service], tmp_path: Path) -> None:
    path = tmp_path / "keys"
    users = [f"Bearer {add_key(path, user, ['acme/*'])}" for user in ("ann", "bob")]
    service = make_service(api_keys=path).start()
    sent = [
        send(service, "acme/users", ids, [], **{"Idempotency-Key": "k", "Authorization": user})
        for user, ids in zip(users, (["a"], ["b"]), strict=True)
    ]
    assert [answer.status for answer in sent] == [200, 200]
    assert sent[0].json["request_id"] != sent[1].json["request_id"]


def test_the_receipt_stays_the_same_after_a_kill_and_after_the_latest_version_has_moved(
    make_service: Callable[..., Service],
) -> None:
    service = make_service().start()
    latest = "callscore:///scorer/word:latest"

    def publish(text: str) -> None:
        assert service.post("/scorers", {"name": "word", "kind": "contains", "params": {"text": text}}).status == 201

    publish("one")
    first = send(service, "acme/later", ["a", "b"], [latest], **{"Idempotency-Key": "k"})
    service.kill()
    service.start()
    publish("two")
    again = send(service, "acme/later", ["a", "b"], [latest], **{"Idempotency-Key": "k"})
    assert (again.status, again.raw) == (200, first.raw)


def test_requests_under_a_key_are_listed_by_time_among_the_others(shared: Service) -> None:
    made = []
    for number in range(12):
        headers = {"Idempotency-Key": str(number)} if number % 2 else {}
        made.append(send(shared, "acme/order", [], [], **headers).json["request_id"])
    for limit in (5, 100):
        listed = shared.items(f"/score-requests?project_id=acme/order&limit={limit}")
        assert [item["request_id"] for item in listed] == made[::-1]


@kafka_only
def test_two_workers_that_race_under_one_key_give_one_receipt(make_service: Callable[..., Service]) -> None:
    first = make_service().start()
    second = first.another().start()
    refs = first.refs("not_empty")
    ids = [f"call-{number}" for number in range(40)]
    first.log_calls("acme/both", ids)
    with ThreadPoolExecutor(20) as pool:
        sent = [
            pool.submit(send, worker, "acme/both", ids, refs, **{"Idempotency-Key": "k"})
            for worker in (first, second) * 10
        ]
        answers = [future.result() for future in sent]
    receipts = {answer.raw for answer in answers if answer.status == 200}
    assert len(receipts) == 1, [(answer.status, answer.raw) for answer in answers]
    request = second.wait_finished(answers[0].json["request_id"])
    assert (request["tasks"]["total"], request["tasks"]["succeeded"]) == (40, 40)


# --- Callscore-Rescore ---


def shown(service: Service, project: str) -> dict[str, Any]:
    [score] = service.items(f"/scores?project_id={project}")
    return dict(score)


def test_a_rescore_runs_again_and_is_a_new_revision_and_the_same_token_joins_it(shared: Service) -> None:
    project = "acme/rescore"
    shared.log_calls(project, ["a"])
    refs = shared.refs("patient")

    def score(**headers: str) -> Any:
        return shared.wait_finished(send(shared, project, ["a"], refs, **headers).json["request_id"])["tasks"]

    assert score()["reused"] == 0
    assert score()["reused"] == 1
    first = shown(shared, project)
    assert first["revision"] == 1
    assert score(**{"Callscore-Rescore": "2026"})["reused"] == 0
    second = shown(shared, project)
    assert second["revision"] == 2
    assert second["scored_at"] > first["scored_at"]
    assert score(**{"Callscore-Rescore": "2026"})["reused"] == 1
    assert shown(shared, project) == second
    assert score(**{"Callscore-Rescore": "2027"})["reused"] == 0
    assert shown(shared, project)["revision"] == 3


def test_while_a_rescore_runs_or_if_it_fails_the_last_good_revision_is_shown(gated: Service, gate: Path) -> None:
    gate.write_text("good")
    project = "acme/last-good"
    gated.log_calls(project, ["a"], str(gate))
    refs = gated.refs("gated")
    gated.wait_finished(gated.submit(project, ["a"], refs))
    good = shown(gated, project)
    assert (good["revision"], good["output"]) == (1, {"said": "good"})

    gate.write_text("wait")
    running = gated.submit(project, ["a"], refs, **{"Callscore-Rescore": "again"})
    gated.wait_for_tasks(running, "running")
    assert shown(gated, project) == good
    gate.write_text("bad")
    assert gated.wait_finished(running)["tasks"]["failed"] == 1
    assert shown(gated, project) == good

    gate.write_text("better")
    gated.wait_finished(gated.submit(project, ["a"], refs, **{"Callscore-Rescore": "once more"}))
    better = shown(gated, project)
    assert (better["revision"], better["output"]) == (3, {"said": "better"})
