"""Whatever an endpoint does, a task ends with a documented reason, or waits and says for what. Nothing is ever a 0."""

from collections import Counter
from pathlib import Path

from tests.asking import wait_for
from tests.judge import KEY
from tests.judging import BOOLEAN, LABEL, NUMBER, PROJECT, Judging, bill, judged, log_outputs, publish, scores
from tests.service import until

# trick: (status, type of the error, requests that the judge answers with a completion, what of its answer is kept)
ENDS = {
    "fine": ("succeeded", None, 1, None),
    "is_fenced": ("succeeded", None, 1, None),
    "chats_once": ("succeeded", None, 2, None),
    "counts_nothing": ("succeeded", None, 1, None),
    "knows_no_schemas": ("succeeded", None, 1, None),
    "chats": ("failed", "judgement_unreadable", 2, "nothing makes me say more"),
    "is_empty": ("failed", "judgement_unreadable", 2, ""),
    "is_off_scale": ("failed", "judgement_unreadable", 2, "so"),
    "is_of_another_type": ("failed", "judgement_unreadable", 2, "so"),
    "lacks_it": ("failed", "judgement_unreadable", 2, "so"),
    "refuses": ("failed", "judge_refused", 1, "I will not judge that."),
    "is_filtered": ("failed", "judge_refused", 1, "so"),
    "is_cut_off": ("failed", "judgement_cut_off", 1, "because it is so very"),
    "is_html": ("failed", "answer_malformed", 0, "<html>busy</html>"),
    "is_huge": ("failed", "answer_too_large", 1, None),
    "is_no_completion": ("failed", "answer_malformed", 0, "chat.completion"),
    "redirects": ("failed", "provider_refused", 0, None),
    "not_found": ("failed", "provider_refused", 0, None),
    "closes": ("failed", "provider_unreachable", 0, None),
}


def test_each_way_in_which_a_judge_answers_ends_as_documented(judging: Judging) -> None:
    service = judging.start(scorer_attempts=1)
    refs = [publish(service, name, scale) for name, scale in (("n", NUMBER), ("l", LABEL), ("b", BOOLEAN))]
    request = judged(service, [f"TRICK {trick}" for trick in ENDS], *refs)
    assert request["tasks"]["succeeded"] == 3 * sum(status == "succeeded" for status, *_ in ENDS.values())
    answered = Counter(text for text in judging.judge.texts())
    found = scores(service)
    assert len(found) == 3 * len(ENDS)
    for number, score in enumerate(found):
        trick = list(ENDS)[number // 3]
        status, type_, requests, raw = ENDS[trick]
        assert (score["status"], score.get("error", {}).get("type")) == (status, type_), (trick, score)
        assert ("output" in score) == (status == "succeeded")
        if raw is not None:
            assert raw in score["error"].get("raw", ""), score
        if requests:
            assert score["lineage"]["cost"]["requests"] == requests
            assert score["lineage"].get("repaired", False) == (requests == 2)
        asked = answered[f"TRICK {trick}\n?"]
        if trick == "knows_no_schemas":  # which the first two show to the third, unless others have shown otherwise
            assert 5 <= asked <= 6
        else:
            assert asked == 3 * max(1, requests)
    # What was paid for failures is on the bill too.
    assert request["cost"] == bill(judging.judge) | {
        "requests": judging.judge.answered["requests"] + 9,  # that were no completion, or too large
        "unpriced_requests": 12,  # and those that did not count
        "unanswered_requests": 3,  # which the judge has read, and then closed the connection
    }


def test_an_endpoint_without_structured_output_is_asked_without_it_from_then_on(judging: Judging) -> None:
    service = judging.start(limits={"concurrency": 1})
    judging.judge.knows_schemas = False
    request = judged(service, [f"text {n}" for n in range(10)], publish(service))
    assert request["tasks"]["succeeded"] == 10
    with_schema = ["response_format" in body for body in judging.judge.bodies]
    assert with_schema == [True, False] * 2 + [False] * 8


def test_an_error_that_may_pass_waits_with_its_reason_and_then_succeeds(judging: Judging) -> None:
    service = judging.start(scorer_backoff=0.1, scorer_attempts=50)
    ref = publish(service)
    for number, (status, state, reason) in enumerate(
        [
            (429, "retrying", "provider_throttled"),
            (500, "retrying", "provider_unavailable"),
            (503, "retrying", "provider_unavailable"),
            (401, "paused", "provider_unauthorized: provider local answered 401"),
            (402, "paused", "provider_payment_required: provider local answered 402"),
            (403, "paused", "provider_unauthorized: provider local answered 403"),
        ]
    ):
        judging.judge.status = status
        judging.judge.headers = {"Retry-After": "2"} if status == 429 else {}
        request = service.submit(PROJECT, log_outputs(service, ["one"], f"call-{number}"), [ref])
        [task] = wait_for(service, request, state)
        assert task["reason"].startswith(reason)
        assert task["next_at"] is not None
        judging.judge.status = 200
        assert service.wait_finished(request)["tasks"]["succeeded"] == 1


def test_a_judge_that_hangs_is_stopped_in_time(judging: Judging) -> None:
    service = judging.start(scorer_attempts=1)
    ref = publish(service, policy={"timeout": 5})
    judging.judge.hangs = True
    request = judged(service, ["one"], ref, seconds=60)
    [score] = scores(service)
    assert (score["status"], score["error"]["type"]) == ("failed", "scorer_timeout")
    assert len(judging.judge.bodies) == request["cost"]["unanswered_requests"] == 1
    until(lambda: judging.judge.at_once == 0, seconds=10)  # its connection is closed, too


def test_a_key_is_sent_to_the_provider_and_found_nowhere_else(judging: Judging) -> None:
    service = judging.start(log_level="INFO", scorer_attempts=1)
    ref = publish(service)
    judged(service, ["a secret of the caller"], ref)
    assert set(judging.judge.keys) == {f"Bearer {KEY}"}
    judging.judge.status = 400  # it repeats the key in its answer
    judged(service, ["another"], ref, prefix="more")
    shown = repr(scores(service)) + repr(service.items(f"/scorers?project_id={PROJECT}"))
    assert "provider_refused" in shown
    assert KEY not in shown
    logged = service.log_path.read_text()
    for secret in (KEY, "a secret of the caller", "Is this polite?"):
        assert secret not in logged
    for path in service.data_dir.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes()


def test_a_provider_is_asked_through_the_proxy_that_the_environment_names(judging: Judging) -> None:
    service = judging.start()
    service.stop()
    here = f"127.0.0.1:{judging.judge.port}"  # a server takes what is meant for another, as a proxy does
    providers = Path(service.environment["CALLSCORE_PROVIDERS"])
    providers.write_text(providers.read_text().replace(here, "judge.invalid"))
    service.extra_environment = {**service.extra_environment, "HTTP_PROXY": f"http://{here}"}
    service.start()
    assert judged(service, ["one"], publish(service))["tasks"]["succeeded"] == 1
    assert len(judging.judge.bodies) == 1


def test_a_provider_that_settings_do_not_name_is_refused_at_publishing(judging: Judging) -> None:
    service = judging.start()
    params = {"provider": "local", "model": "judge-1", "prompt": "{output}", "scale": {"type": "boolean"}}
    judge = {"name": "polite", "kind": "llm_judge", "params": params}
    contains = {"name": "x", "kind": "contains", "params": {"text": "x"}}
    for body, loc in (
        (judge | {"params": params | {"provider": "nobody"}}, ["body", "params"]),
        (contains | {"policy": {"provider": "nobody"}}, ["body", "policy", "provider"]),
    ):
        answer = service.post("/scorers", body)
        [detail] = answer.json["detail"]
        assert (answer.status, detail["type"], detail["loc"]) == (422, "provider_unknown", loc)
        assert "CALLSCORE_PROVIDERS of this worker names no provider 'nobody'; it names: local" in detail["msg"]
    assert service.post("/scorers", contains | {"policy": {"provider": "local"}}).status == 201
    # A judge calls the provider of its parameters, so another one's limits would not hold.
    [detail] = service.post("/scorers", judge | {"policy": {"provider": "other"}}).json["detail"]
    assert (detail["type"], detail["loc"]) == ("provider_differs", ["body", "policy", "provider"])
    assert service.post("/scorers", judge | {"policy": {"provider": "local"}}).status == 201
