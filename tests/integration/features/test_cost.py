"""Tokens and cost of each judge call; a spend cap that defers and does not drop. Also over kills."""

import random
import time
from datetime import UTC, datetime, timedelta
from datetime import time as clock
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.asking import tasks, wait_for
from tests.brokers import kafka_only, on_both_logs
from tests.judge import Judge
from tests.judging import PROJECT, Judging, bill, judged, log_outputs, publish, scores
from tests.length import at_length
from tests.service import Service, attempts, until

COUNTED = ("requests", "input_tokens", "output_tokens", "usd", "unpriced_requests", "unanswered_requests")


def summed(service: Service) -> dict[str, Any]:
    """What all scores cost together."""
    costs = [cost for score in scores(service) if (cost := score["lineage"]["cost"]) is not None]
    return {name: sum(cost[name] or 0 for cost in costs) for name in COUNTED}


def test_tokens_and_cost_of_scores_and_request_are_the_judges_own_count(judging: Judging) -> None:
    service = judging.start(scorer_backoff=0.01)
    ref = publish(service)
    outputs = [f"{'TRICK chats_once ' * (n % 5 == 0)}{'TRICK chats ' * (n % 7 == 0)}{'word ' * n}" for n in range(100)]
    request = judged(service, outputs, ref, *service.refs("not_empty"))
    assert request["tasks"]["failed"] > 0
    assert request["cost"] == bill(judging.judge)
    assert summed(service) == pytest.approx(bill(judging.judge), abs=1e-12)
    assert service.metrics()["callscore_usd_total"] == pytest.approx(bill(judging.judge)["usd"])
    costs = service.get(f"/scorers/costs?project_id={PROJECT}").json
    [today] = costs["items"]
    assert (today["scorer_ref"], today["cost"], costs["total"]) == (ref, bill(judging.judge), bill(judging.judge))
    assert datetime.fromisoformat(today["day"]).time() == clock()
    # What is reused costs nothing.
    good = [score["call_id"] for score in scores(service, f"&scorer_ref={ref}&status=succeeded")]
    again = service.wait_finished(service.submit(PROJECT, good, [ref]))
    assert (again["tasks"]["reused"], again["cost"]) == (len(good), None)
    assert judged(service, ["free"], *service.refs("not_empty"), prefix="free")["cost"] is None


def test_without_a_price_tokens_are_counted_and_the_cost_is_not_known(judging: Judging) -> None:
    service = judging.start(priced=False)
    cost = judged(service, ["one", "two"], publish(service))["cost"]
    assert cost == bill(judging.judge) | {"usd": None, "unpriced_requests": 2}


def test_what_scorers_cost_is_told_by_day_for_each_of_them(judging: Judging) -> None:
    begins = (datetime.now(UTC) + timedelta(seconds=25)).replace(microsecond=0)
    service, judge = judging.start(day_start=f"{begins:%H:%M:%S}"), judging.judge
    refs = [publish(service, "polite"), publish(service, "kind", prompt="Is it kind? {output}")]
    before = judged(service, ["one", "two"], *refs, *service.refs("not_empty"))["cost"]
    assert datetime.now(UTC) < begins, "this machine is too slow for this test"
    until(lambda: datetime.now(UTC) > begins)
    after = judged(service, ["one"], refs[0], prefix="later")["cost"]
    costs = service.get(f"/scorers/costs?project_id={PROJECT}").json
    days = [datetime.fromisoformat(item["day"]) for item in costs["items"]]
    assert days == [begins - timedelta(days=1)] * 2 + [begins]
    assert [item["scorer_name"] for item in costs["items"]] == ["kind", "polite", "polite"]
    assert [item["scorer_ref"] for item in costs["items"]] == [*sorted(refs), refs[0]]
    assert [item["cost"]["requests"] for item in costs["items"]] == [2, 2, 1]
    assert sum(item["cost"]["usd"] for item in costs["items"][:2]) == pytest.approx(before["usd"])
    assert (costs["items"][2]["cost"], costs["total"]) == (after, bill(judge))
    moment = quote(begins.isoformat())
    for window, found in ((f"since={moment}", costs["items"][2:]), (f"until={moment}", costs["items"][:2])):
        assert service.get(f"/scorers/costs?project_id={PROJECT}&{window}").json["items"] == found
    assert service.get("/scorers/costs?project_id=acme/none").json == {"items": [], "total": None}


def wait_asked(judge: Judge, number: int) -> None:
    until(lambda: len(judge.bodies), lambda asked: asked >= number, 60)


def cut_off(judge: Judge, service: Service) -> int:
    """Kill the service when all that it asks has come to the judge; returns how many requests that cut off."""
    until(lambda: judge.hanging, lambda hanging: hanging == 20)
    service.kill()
    return 20


@on_both_logs
def test_what_a_kill_cut_off_is_run_again_counted_and_shown(judging: Judging) -> None:
    service, judge = judging.start({"concurrency": 20}), judging.judge
    judge.takes = 0.1
    ref = publish(service)
    request = service.submit(PROJECT, log_outputs(service, [f"text {n}" for n in range(100)]), [ref])
    lost = 0
    for _ in range(at_length(1, 5)):
        wait_asked(judge, len(judge.bodies) + 20)
        judge.hangs = True
        lost += cut_off(judge, service)
        judge.hangs = False
        service.start()
    done = service.wait_finished(request)
    assert done["tasks"]["succeeded"] == 100
    assert done["cost"] == bill(judge) | {"unanswered_requests": lost}
    assert len(judge.bodies) == 100 + lost  # each of these was run again, and nothing else
    assert summed(service)["unanswered_requests"] == lost


@on_both_logs
def test_the_bill_is_right_whenever_the_service_is_killed(judging: Judging) -> None:
    service, judge = judging.start({"concurrency": 20}), judging.judge
    judge.takes = 0.05
    total = at_length(300, 3000)
    request = service.submit(PROJECT, log_outputs(service, ["the same"] * total), [publish(service)])
    seed = random.randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    for _ in range(at_length(2, 20)):
        wait_asked(judge, len(judge.bodies) + 11)
        time.sleep(chance.uniform(0, 0.1))
        service.kill()
        service.start()
    done = service.wait_finished(request)
    cost, billed = done["cost"], bill(judge)
    assert done["tasks"]["succeeded"] == total == cost["requests"]
    # The judge has answered what was recorded, and some of what was cut off: none of that is unknown to the service.
    each = billed["input_tokens"] // billed["requests"]
    assert cost["input_tokens"] == total * each
    lost = len(judge.bodies) - total
    print(f"asked {len(judge.bodies)}, cut off {lost}, as the service says {cost['unanswered_requests']}")
    assert 0 <= lost <= cost["unanswered_requests"] <= lost + 20 * at_length(2, 20)


def test_at_its_cap_a_scorer_is_deferred_says_so_and_goes_on_when_the_day_begins(judging: Judging) -> None:
    begins = (datetime.now(UTC) + timedelta(seconds=40)).replace(microsecond=0)
    service, judge = judging.start(day_start=f"{begins:%H:%M:%S}"), judging.judge
    output = "each costs the same"
    each = judged(service, [output], publish(service, "probe"), prefix="probe")["cost"]["usd"]
    ref = publish(service, policy={"usd_per_day": 10.5 * each})
    request = service.submit(PROJECT, log_outputs(service, [output] * 40), [ref, *service.refs("not_empty")])

    def deferred() -> list[Any]:
        return until(lambda: tasks(service, request, "paused"), lambda found: len(found) == 29, 20)

    for task in deferred():
        assert task["reason"].startswith("spend_cap_reached: ")
        assert datetime.fromisoformat(task["next_at"]) == begins
    counts = service.status(request)["tasks"]
    assert (counts["paused"], counts["succeeded"], counts["failed"]) == (29, 40 + 11, 0)
    # What was spent is known after a kill.
    service.kill()
    service.start()
    assert datetime.now(UTC) < begins, "this machine is too slow for this test"
    deferred()
    assert judge.answered["requests"] == 1 + 11
    # The next day, as much again; then the cap is raised, which whoever publishes may do at any time.
    until(lambda: judge.answered["requests"], lambda answered: answered == 1 + 22, 90)
    assert datetime.now(UTC) >= begins
    publish(service, policy={"usd_per_day": 100 * each})
    done = service.wait_finished(request, 60)
    assert (done["tasks"]["succeeded"], done["tasks"]["failed"]) == (80, 0)
    assert judge.answered["requests"] == 1 + 40


def test_requests_without_an_answer_use_a_cap_up_as_answered_ones_do(judging: Judging) -> None:
    begins = datetime.now(UTC) + timedelta(hours=12)
    service, judge = judging.start(day_start=f"{begins:%H:%M}", scorer_attempts=1), judging.judge
    output = "each costs the same"
    each = judged(service, [output], publish(service, "probe"), prefix="probe")["cost"]["usd"]
    ref = publish(service, policy={"usd_per_day": 5.5 * each, "timeout": 2})
    judged(service, [output], ref, prefix="answered")
    judge.hangs = True
    request = service.submit(PROJECT, log_outputs(service, [output] * 40), [ref])
    until(lambda: service.status(request)["tasks"], lambda counts: counts["paused"] + counts["failed"] == 40, 60)
    waiting = tasks(service, request, "paused")
    assert all(task["reason"].startswith("spend_cap_reached: ") for task in waiting)
    asked = len(judge.bodies) - 2
    assert 4 < asked <= 6
    # The bill says what is known.
    cost = service.status(request)["cost"]
    assert (cost["usd"], cost["requests"], cost["unanswered_requests"]) == (0, 0, asked)
    # What got no answer is known after a kill.
    service.kill()
    service.start()
    again = wait_for(service, request, "paused", len(waiting))
    assert all(task["reason"].startswith("spend_cap_reached: ") for task in again)
    assert len(judge.bodies) == 2 + asked
    # Nor is the judge tried.
    tried = service.post("/scorers/try", {"project_id": PROJECT, "scorer_ref": ref, "call_id": "call-00000"})
    assert (tried.status, tried.json["detail"][0]["type"]) == (409, "spend_cap_reached")
    publish(service, policy={"usd_per_day": 100 * each})
    judge.hangs = False
    assert service.wait_finished(request, 60)["tasks"]["succeeded"] >= 40 - asked


def test_a_cap_is_refused_for_a_model_without_a_price_which_it_could_not_count(judging: Judging) -> None:
    service = judging.start(priced=False)
    params = {"provider": "local", "model": "judge-1", "prompt": "{output}", "scale": {"type": "boolean"}}
    body = {"name": "polite", "kind": "llm_judge", "params": params, "project_id": PROJECT}
    assert service.post("/scorers", body).status == 201
    answer = service.post("/scorers", body | {"policy": {"usd_per_day": 5}})
    [detail] = answer.json["detail"]
    assert (answer.status, detail["type"]) == (422, "price_unknown")
    assert detail["loc"] == ["body", "policy", "usd_per_day"]
    for named in ("5 USD a day", "'local'", "'judge-1'", "CALLSCORE_PROVIDERS"):
        assert named in detail["msg"]


def test_a_cap_is_refused_for_a_scorer_that_never_tells_what_it_costs(judging: Judging) -> None:
    service = judging.start(remote_hosts="example.com")
    params = {"endpoint_url": "https://example.com/score"}
    body = {"name": "far", "kind": "remote", "params": params, "project_id": PROJECT}
    answer = service.post("/scorers", body | {"policy": {"usd_per_day": 5}})
    [detail] = answer.json["detail"]
    assert (answer.status, detail["type"], detail["loc"]) == (422, "cost_unknown", ["body", "policy", "usd_per_day"])
    assert service.post("/scorers", body).status == 201
    # Nor is one taken that would hold back what costs nothing.
    body = {"name": "short", "kind": "length", "params": {"max": 9}, "project_id": PROJECT}
    answer = service.post("/scorers", body | {"policy": {"usd_per_day": 5}})
    [detail] = answer.json["detail"]
    assert (answer.status, detail["type"], detail["loc"]) == (422, "costs_nothing", ["body", "policy", "usd_per_day"])
    assert service.post("/scorers", body | {"policy": {"timeout": 5}}).status == 201


def test_where_a_price_has_gone_a_scorer_with_a_cap_is_deferred_says_so_and_nobody_is_asked(
    judging: Judging,
) -> None:
    service, judge = judging.start(), judging.judge
    ref = publish(service, policy={"usd_per_day": 5})
    file = Path(service.environment["CALLSCORE_PROVIDERS"])
    service.stop()
    judge.file(file, priced=False)
    service.start()
    request = service.submit(PROJECT, log_outputs(service, ["one", "two"]), [ref, *service.refs("not_empty")])
    wait_for(service, request, "succeeded", 2)
    for task in wait_for(service, request, "paused", 2):
        assert task["reason"].startswith("spend_cap_without_price: the file of CALLSCORE_PROVIDERS has no price")
        assert "'judge-1'" in task["reason"]
        assert task["next_at"] is not None
    counts = service.status(request)["tasks"]
    assert (counts["paused"], counts["succeeded"], counts["failed"]) == (2, 2, 0)
    assert judge.bodies == []
    service.stop()
    judge.file(file)
    service.start()
    assert service.wait_finished(request)["tasks"]["succeeded"] == 4


def test_where_answers_do_not_say_what_they_cost_a_cap_defers_what_is_left_also_after_a_kill(
    judging: Judging,
) -> None:
    service, judge = judging.start(), judging.judge
    ref = publish(service, policy={"usd_per_day": 5})
    request = service.submit(PROJECT, log_outputs(service, [f"TRICK counts_nothing {n}" for n in range(4)]), [ref])
    wait_for(service, request, "succeeded", 1)
    for _ in range(2):
        for task in wait_for(service, request, "paused", 3):
            assert task["reason"] == "spend_cap_without_price: nobody tells what it cost today"
        assert len(judge.bodies) == 1
        service.kill()
        service.start()
    publish(service)  # without a cap
    assert service.wait_finished(request)["cost"]["unpriced_requests"] == 4


@kafka_only
def test_only_the_worker_without_a_price_defers_and_all_workers_say_so(judging: Judging, tmp_path: Path) -> None:
    service, judge = judging.start(), judging.judge
    second = service.another(providers=judge.file(tmp_path / "unpriced.toml", priced=False)).start()
    ref = publish(service, policy={"usd_per_day": 5})
    request = service.submit(PROJECT, log_outputs(service, [f"text {n}" for n in range(40)]), [ref])
    for _ in attempts(60):
        waiting = {task["worker"] for task in tasks(service, request, "paused")}
        counts = service.status(request)["tasks"]
        # Until its own are done, the worker with the price has heard that the other one has none, and says so too.
        if waiting == {second.url} and counts["succeeded"] and counts["paused"] + counts["succeeded"] == 40:
            break
    else:
        raise AssertionError((waiting, counts))
    assert counts["succeeded"] == judge.answered["requests"]
    publish(service)  # without a cap
    assert service.wait_finished(request)["tasks"]["succeeded"] == 40


@kafka_only
def test_two_workers_spend_a_cap_together_and_at_most_their_last_attempts_more(judging: Judging) -> None:
    begins = datetime.now(UTC) + timedelta(hours=12)
    service, judge = judging.start(day_start=f"{begins:%H:%M}"), judging.judge
    service.another().start()
    output, total, within = "each costs the same", 400, 100
    each = judged(service, [output], publish(service, "probe"), prefix="probe")["cost"]["usd"]
    ref = publish(service, policy={"usd_per_day": (within + 0.5) * each})
    request = service.submit(PROJECT, log_outputs(service, [output] * total), [ref])
    spent = deferred(service, request, total)
    assert within < len(spent) <= within + 2
    assert judge.answered["requests"] == 1 + len(spent)
    publish(service, policy={"usd_per_day": 2 * total * each})
    assert service.wait_finished(request)["tasks"]["succeeded"] == total
    assert judge.answered["requests"] == 1 + total


def deferred(service: Service, request: str, total: int) -> list[Any]:
    """Wait until all tasks have ended or say that they wait for the next day; returns those that have ended."""
    for _ in attempts(60):
        waiting = tasks(service, request, "paused")
        ended = tasks(service, request, "succeeded")
        if len(waiting) + len(ended) == total:
            assert all(task["reason"].startswith("spend_cap_reached: ") for task in waiting)
            return ended
    raise AssertionError(f"{service.status(request)['tasks']}\n{service.log()}")
