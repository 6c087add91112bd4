"""Calls that are scored as they are logged: which, once each, and what was left out."""

import random
import time
from typing import Any

from app.rules import is_sampled
from tests.brokers import kafka_only, on_both_logs
from tests.command import run, said, verified
from tests.service import Service, complete_call, until

PROJECT = "acme/rules"


def set_rule(service: Service, name: str, scorers: list[str], **fields: Any) -> dict[str, Any]:
    body = {"name": name, "project_id": PROJECT, "scorer_refs": service.refs(*scorers), **fields}
    answer = service.post("/rules", body)
    assert answer.status in (200, 201), answer.raw
    rule: dict[str, Any] = answer.json
    return rule


def wait_matched(service: Service, rule_id: str, number: int) -> dict[str, Any]:
    """Wait until a rule has decided about so many calls."""
    answer = until(
        lambda: service.get(f"/rules/{rule_id}"),
        lambda answer: answer.status == 200 and answer.json["calls"]["matched"] >= number,
        90,
    )
    rule: dict[str, Any] = answer.json
    assert rule["calls"]["matched"] == number, rule
    return rule


def decisions(service: Service, rule_id: str) -> dict[str, str]:
    found = service.items(f"/rules/{rule_id}/calls?limit=7")
    assert len({item["call_id"] for item in found}) == len(found)
    return {item["call_id"]: item["decision"] for item in found}


def scored(service: Service) -> set[str]:
    return {score["call_id"] for score in service.items(f"/scores?project_id={PROJECT}&status=succeeded")}


def wait_scored(service: Service, call_ids: set[str]) -> None:
    until(lambda: scored(service), lambda found: found == call_ids, 60)


@on_both_logs
def test_calls_that_match_a_rule_are_scored_as_they_are_logged_and_the_others_are_not(service: Service) -> None:
    hour = time.time() // 3600
    service.log_calls(PROJECT, [{"id": "before", "output": "x", "op_name": "answer"}])
    rule = set_rule(service, "answers", ["not_empty"], where={"op_name": "answer", "attributes.env": ["prod", "beta"]})
    calls = [
        {"id": "meant", "op_name": "answer", "attributes": {"env": "prod"}},
        {"id": "meant-too", "op_name": f"weave:///{PROJECT}/op/answer:v1", "attributes": {"env": "beta"}},
        {"id": "elsewhere", "op_name": "answer", "attributes": {"env": "dev"}},
        {"id": "another-op", "op_name": "summarize", "attributes": {"env": "prod"}},
    ]
    service.log_calls(PROJECT, [{"output": "x", **call} for call in calls])
    service.log_calls(PROJECT, [{"output": "x", **calls[0]}])  # sent again

    assert wait_matched(service, rule["rule_id"], 2)["calls"] == {"matched": 2, "sampled": 2, "sampled_out": 0}
    wait_scored(service, {"meant", "meant-too"})
    requests = service.items(f"/score-requests?rule_id={rule['rule_id']}")
    assert sum(request["tasks"]["succeeded"] for request in requests) == 2
    if time.time() // 3600 == hour:
        assert {request["status"] for request in requests} == {"running"}
    assert {request["rule_id"] for request in requests} == {rule["rule_id"]}
    tasks = [task for request in requests for task in service.items(f"/score-requests/{request['request_id']}/tasks")]
    assert {task["call_id"]: task["status"] for task in tasks} == {"meant": "succeeded", "meant-too": "succeeded"}
    assert service.items(f"/score-requests?project_id={PROJECT}") == []  # which lists what clients submitted
    assert decisions(service, rule["rule_id"]) == {"meant": "sampled", "meant-too": "sampled"}


@on_both_logs
def test_a_sample_is_the_same_everywhere_and_what_is_left_out_is_on_record(service: Service) -> None:
    rule = set_rule(service, "some", ["not_empty"], sample_rate=0.3)
    ids = [f"call-{n}" for n in range(200)]
    meant = {call_id for call_id in ids if is_sampled(rule["rule_id"], call_id, 0.3)}
    assert 30 < len(meant) < 90

    service.log_calls(PROJECT, ids)
    counts = wait_matched(service, rule["rule_id"], 200)["calls"]
    assert counts == {"matched": 200, "sampled": len(meant), "sampled_out": 200 - len(meant)}
    wait_scored(service, meant)
    found = decisions(service, rule["rule_id"])
    assert {call_id for call_id, decision in found.items() if decision == "sampled"} == meant
    assert found.keys() == set(ids)
    [ref] = rule["scorer_refs"]
    gaps = service.items(f"/scores/gaps?project_id={PROJECT}&scorer_ref={ref}")
    assert {gap["call_id"]: gap["reason"] for gap in gaps} == dict.fromkeys(set(ids) - meant, "sampled_out")

    assert "are the same" in verified(service)
    service.stop()
    service.start()
    assert service.get(f"/rules/{rule['rule_id']}").json["calls"] == counts
    assert decisions(service, rule["rule_id"]) == found


def test_a_call_whose_start_and_end_come_apart_is_judged_once_both_are_there(service: Service) -> None:
    rule = set_rule(service, "answers", ["not_empty"], where={"op_name": "answer"})
    call = complete_call(PROJECT, {"id": "apart", "output": "x", "op_name": "answer"})
    end = {name: call[name] for name in ("project_id", "id", "ended_at", "output", "summary")}
    start = {name: value for name, value in call.items() if name not in end or name in ("project_id", "id")}
    assert service.post(f"/v2/{PROJECT}/call/end", {"end": end}).status == 200
    assert service.get(f"/calls?project_id={PROJECT}&call_id=apart").json["items"] != []
    assert service.get(f"/rules/{rule['rule_id']}").json["calls"]["matched"] == 0
    assert service.post(f"/v2/{PROJECT}/call/start", {"start": start}).status == 200
    wait_matched(service, rule["rule_id"], 1)
    wait_scored(service, {"apart"})


def test_a_paused_rule_scores_nothing_until_it_is_resumed(service: Service) -> None:
    rule = set_rule(service, "all", ["not_empty"])
    path = f"/rules/{rule['rule_id']}"
    assert [one["name"] for one in service.items(f"/rules?project_id={PROJECT}")] == ["all"]
    assert service.post(f"{path}/pause", {}).json["status"] == "paused"
    service.log_calls(PROJECT, ["missed"])
    assert service.post(f"{path}/resume", {}).json["status"] == "active"
    service.log_calls(PROJECT, ["seen"])
    wait_matched(service, rule["rule_id"], 1)
    wait_scored(service, {"seen"})

    changed = set_rule(service, "all", ["valid_json"], where={"op_name": "other"})
    assert (changed["rule_id"], changed["calls"]["matched"]) == (rule["rule_id"], 1)
    assert service.post(f"{path}/remove", {}).json["status"] == "removed"
    assert service.items(f"/rules?project_id={PROJECT}") == []
    assert service.post(f"{path}/resume", {}).status == 409
    assert service.get(path).json["status"] == "removed"
    assert decisions(service, rule["rule_id"]) == {"seen": "sampled"}


def test_calls_that_come_after_a_cancel_are_scored_by_another_request_of_the_rule(service: Service) -> None:
    rule = set_rule(service, "all", ["not_empty"])
    service.log_calls(PROJECT, ["before"])
    wait_scored(service, {"before"})
    [request] = service.items(f"/score-requests?rule_id={rule['rule_id']}")
    assert service.post(f"/score-requests/{request['request_id']}/cancel", {}).status == 200
    service.log_calls(PROJECT, ["after"])
    wait_scored(service, {"before", "after"})
    later, earlier = service.items(f"/score-requests?rule_id={rule['rule_id']}")
    assert earlier["request_id"] == request["request_id"]
    assert (earlier["tasks"]["succeeded"], later["tasks"]["succeeded"]) == (1, 1)


def test_the_same_rule_set_again_changes_nothing(service: Service) -> None:
    rule = set_rule(service, "all", ["not_empty"], where={"attributes.n": [1, None, True, "x"]})
    assert set_rule(service, "all", ["not_empty"], where={"attributes.n": [1, None, True, "x"]}) == rule
    assert set_rule(service, "all", ["not_empty"])["set_at"] > rule["set_at"]


def test_commands_set_list_and_steer_rules(service: Service) -> None:
    made = run(
        service, "rules", "set", "prod", "--project", PROJECT, "--scorer", "not_empty",
        "--where", "attributes.env=prod", "--where", "attributes.env=beta", "--sample", "0.5",
    )  # fmt: skip
    assert said(made) == ['prod is active: attributes.env = "prod" or "beta", 50 % of them']
    ids = [f"call-{n}" for n in range(20)]
    calls = [{"id": call_id, "output": "x", "attributes": {"env": "beta"}} for call_id in ids]
    service.log_calls(PROJECT, calls)
    [rule] = service.items(f"/rules?project_id={PROJECT}")
    meant = {call_id for call_id in ids if is_sampled(rule["rule_id"], call_id, 0.5)}
    wait_matched(service, rule["rule_id"], 20)

    [head, line] = said(run(service, "rules", "list", "--project", PROJECT))
    assert head.split() == ["RULE", "STATUS", "MATCHED", "LEFT", "OUT", "SAMPLE", "CALLS", "WHERE"]
    assert line.split()[:6] == ["prod", "active", "20", str(20 - len(meant)), "50", "%"]
    listed = said(run(service, "rules", "calls", "prod", "--project", PROJECT, "--sampled"))
    assert {line.split()[0] for line in listed[1:]} == meant
    listed = said(run(service, "rules", "requests", "prod", "--project", PROJECT))
    assert sum(int(line.split()[5]) for line in listed[1:]) == len(meant)
    for order, status in (("pause", "paused"), ("resume", "active"), ("remove", "removed")):
        [line] = said(run(service, "rules", order, "prod", "--project", PROJECT))
        assert line.startswith(f"prod is {status}: ")
    gone = run(service, "rules", "pause", "prod", "--project", PROJECT)
    assert gone.returncode == 2
    assert gone.stderr.decode() == "There is no rule named 'prod' in acme/rules. The rules are: none.\n"


@on_both_logs
def test_a_kill_while_calls_come_in_drops_and_doubles_no_call_of_a_rule(service: Service) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chosen = random.Random(seed)
    rules = [
        set_rule(service, "all", ["not_empty"]),
        set_rule(service, "half", ["valid_json"], sample_rate=0.5),
    ]
    logged: list[str] = []
    for kill in range(4):
        for batch in range(chosen.randint(1, 6)):
            ids = [f"{kill}-{batch}-{n}" for n in range(chosen.randint(1, 40))]
            service.log_calls(PROJECT, ids)
            logged += ids
        if chosen.random() < 0.5:  # a chunk is written a second after its first call
            time.sleep(chosen.random() * 1.5)
        service.kill()
        service.start()
    for rule in rules:
        check_whole(service, rule, logged)


@kafka_only
def test_a_worker_that_joins_and_one_that_dies_drop_and_double_no_call_of_a_rule(service: Service) -> None:
    rule = set_rule(service, "half", ["not_empty"], sample_rate=0.5)
    logged: list[str] = []

    def log_some() -> None:
        ids = [f"call-{len(logged) + n}" for n in range(50)]
        service.log_calls(PROJECT, ids)
        logged.extend(ids)

    def joined() -> bool:
        log_some()
        return is_ready(second)

    log_some()
    second = service.another()
    second.spawn()  # partitions move meanwhile
    until(joined, seconds=120)
    log_some()
    second.kill()
    log_some()
    service.wait_ready()
    check_whole(service, rule, logged)


def is_ready(service: Service) -> bool:
    try:
        return service.get("/readyz").status == 200
    except OSError:
        return False


def check_whole(service: Service, rule: dict[str, Any], logged: list[str]) -> None:
    """Check that a rule decides about each of these calls once, and that those of its sample are tasks once."""
    counts = wait_matched(service, rule["rule_id"], len(logged))["calls"]
    meant = {call_id for call_id in logged if is_sampled(rule["rule_id"], call_id, rule["sample_rate"])}
    assert counts["sampled"] == len(meant)
    assert decisions(service, rule["rule_id"]).keys() == set(logged)
    requests = until(
        lambda: service.items(f"/score-requests?rule_id={rule['rule_id']}"),
        lambda found: sum(one["tasks"]["succeeded"] + one["tasks"]["failed"] for one in found) == len(meant),
        60,
    )
    tasks = [task for request in requests for task in service.items(f"/score-requests/{request['request_id']}/tasks")]
    assert sorted(task["call_id"] for task in tasks) == sorted(meant)
    assert sum(request["tasks"]["total"] for request in requests) == len(meant)
