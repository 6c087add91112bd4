"""A judgement is used again for the very same question in a project, where whoever publishes wants it."""

import pytest

from tests.judging import PROJECT, Judging, judged, publish, scores
from tests.service import Service

SETTINGS = {"remote_hosts": "example.com"}


def test_the_same_question_is_asked_once_where_that_is_wanted(judging: Judging) -> None:
    service, judge = judging.start(), judging.judge
    cached = publish(service, "cached", policy={"cache": True})
    first = judged(service, ["one", "TRICK refuses"], cached, prefix="first")
    assert first["cost"]["requests"] == len(judge.bodies) == 2
    again = judged(service, ["one", "two"], cached, prefix="again")
    assert again["tasks"]["succeeded"] == 2
    assert again["cost"]["requests"] == 1  # of the other question
    [original] = scores(service, "&call_id=first-00000")
    [used] = scores(service, "&call_id=again-00000")
    assert used["output"] == original["output"]
    assert used["lineage"]["cost"] is None
    assert used["lineage"]["judged_for"] == {"call_id": "first-00000", "scorer_ref": cached}
    for name in ("provider", "model", "parameters", "prompt_digest", "input_digest"):
        assert used["lineage"][name] == original["lineage"][name]
    # Under another name too, and after a kill; a failure is no answer.
    service.kill()
    service.start()
    other = publish(service, "other", policy={"cache": True})
    more = judged(service, ["two", "TRICK refuses"], other, prefix="more")
    assert (more["tasks"]["succeeded"], more["cost"]["requests"]) == (1, 1)
    # However many they are, they take none of a limit.
    limited = publish(service, "limited", policy={"cache": True, "requests_per_minute": 1})
    assert judged(service, ["one"] * 20, limited, prefix="many")["cost"] is None
    # Another scale or model is another question, and who does not want it is not given it.
    asked = len(judge.bodies)
    judged(service, ["one"], publish(service, "model", policy={"cache": True}, model="judge-2"), prefix="model")
    judged(service, ["one"], publish(service, "off"), prefix="off")
    assert len(judge.bodies) == asked + 2


def test_who_scores_a_call_once_more_has_the_judge_asked_again(judging: Judging) -> None:
    service, judge = judging.start(), judging.judge
    ref = publish(service, policy={"cache": True})
    judged(service, ["one"], ref)
    for rescore in ("again", "yet again"):
        request = service.submit(PROJECT, ["call-00000"], [ref], **{"Callscore-Rescore": rescore})
        assert service.wait_finished(request)["cost"]["requests"] == 1
    assert len(judge.bodies) == 3
    assert all("judged_for" not in score["lineage"] for score in scores(service))
    # Of anybody else it is not asked again.
    assert judged(service, ["one"], ref, prefix="other")["cost"] is None


@pytest.mark.parametrize(
    ("kind", "params"), [("length", {"max": 9}), ("remote", {"endpoint_url": "https://example.com/"}), ("patient", {})]
)
def test_a_scorer_whose_answers_could_never_be_used_again_is_not_published_so(
    shared: Service, kind: str, params: dict[str, object]
) -> None:
    body = {"name": "again", "kind": kind, "params": params, "project_id": PROJECT}
    answer = shared.post("/scorers", body | {"policy": {"cache": True}})
    [detail] = answer.json["detail"]
    assert (answer.status, detail["type"], detail["loc"]) == (
        422,
        "cache_without_questions",
        ["body", "policy", "cache"],
    )
    assert shared.post("/scorers", body | {"policy": {"cache": False}}).status == 201
