"""Lineage on every score: scorer digest, model, parameters, digests of prompt and input, attempt, position."""

from tests.judging import BOOLEAN, LABEL, NUMBER, Judging, judged, publish, scores


def test_a_judges_score_says_all_that_it_was_made_with(judging: Judging) -> None:
    service = judging.start()
    ref = publish(service, parameters={"temperature": 0.5, "max_tokens": 200})
    request = judged(service, ["You are kind.", "You are not."], ref)
    assert request["tasks"]["succeeded"] == 2
    first, second = scores(service)
    assert first["output"].keys() == {"score", "reason"}
    lineage = first["lineage"]
    assert lineage["scorer_kind"] == "llm_judge"
    assert first["scorer_ref"] == ref == f"callscore:///scorer/polite:{lineage['scorer_digest']}"
    assert (lineage["provider"], lineage["model"], lineage["answered_by"]) == ("local", "judge-1", "judge-1-2026-01-01")
    assert lineage["parameters"] == {"temperature": 0.5, "max_tokens": 200}
    assert lineage["attempt"] == first["attempts"] == 1
    assert lineage["latency_ms"] > 0
    assert lineage["partition"] >= 0
    assert lineage["offset"] >= 0
    cost = lineage["cost"]
    assert cost["requests"] == 1
    assert cost["input_tokens"] > 0
    assert cost["output_tokens"] > 0
    assert cost["usd"] > 0
    for name in ("prompt_digest", "input_digest"):
        assert lineage[name] != second["lineage"][name]


def test_digests_are_the_same_for_the_same_prompt_and_input_and_for_no_other(judging: Judging) -> None:
    service = judging.start()
    refs = [
        publish(service, "one"),
        publish(service, "same"),
        publish(service, "other", prompt="Rude? {output} {question}"),
    ]
    judged(service, ["You are kind."], *refs)
    by_name = {score["scorer_name"]: score["lineage"] for score in scores(service)}
    assert by_name["one"]["prompt_digest"] == by_name["same"]["prompt_digest"] != by_name["other"]["prompt_digest"]
    assert len({lineage["input_digest"] for lineage in by_name.values()}) == 1


def test_scores_of_every_kind_and_failures_have_a_lineage(judging: Judging) -> None:
    service = judging.start()
    refs = [publish(service), *service.refs("not_empty", "patient")]
    judged(service, ["TRICK chats", "good"], *refs)
    found = scores(service)
    assert {score["status"] for score in found} == {"succeeded", "failed"}
    assert len(found) == 6
    for score in found:
        lineage = score["lineage"]
        assert score["scorer_ref"].endswith(lineage["scorer_digest"])
        assert lineage["input_digest"]
        assert lineage["attempt"] == 1
        assert lineage["latency_ms"] >= 0
        assert (lineage["cost"] is None) == (lineage["scorer_kind"] != "llm_judge")


def test_a_retry_that_succeeds_says_which_attempt_it_was(judging: Judging) -> None:
    service = judging.start(scorer_backoff=0.01)
    judging.judge.fails_first = 1
    judged(service, ["text"], publish(service))
    [score] = scores(service)
    assert score["status"] == "succeeded"
    assert score["lineage"]["attempt"] == score["attempts"] == len(judging.judge.bodies) == 2


def test_scales_give_numbers_labels_and_booleans(judging: Judging) -> None:
    service = judging.start()
    refs = [publish(service, name, scale) for name, scale in (("n", NUMBER), ("l", LABEL), ("b", BOOLEAN))]
    judged(service, ["one", "two", "three"], *refs)
    for score in scores(service):
        output = score["output"]
        assert output["reason"] == "so"
        match score["scorer_name"]:
            case "n":
                assert 0 <= output["score"] <= 10
            case "l":
                assert output["label"] in LABEL["labels"]
                assert output["passed"] == (output["label"] == "good")
            case "b":
                assert isinstance(output["passed"], bool)
