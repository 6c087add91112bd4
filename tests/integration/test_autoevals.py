"""Scorers of the package autoevals run by name, in worker processes; those that ask a model ask the provider's."""

import pytest

from tests.judging import PROJECT, Judging, scores
from tests.service import Service

pytest.importorskip("autoevals")


def publish(service: Service, name: str, **params: object) -> str:
    body = {"name": name, "kind": "autoevals", "params": params, "project_id": PROJECT}
    answer = service.post("/scorers", body)
    assert answer.status == 201, answer.raw
    return str(answer.json["ref"])


def test_a_scorer_of_autoevals_runs_by_its_name(judging: Judging) -> None:
    service = judging.start(scorer_attempts=1, scorer_timeout=120)
    service.log_calls(
        PROJECT,
        [
            {"id": "a", "output": "abc", "attributes": {"gold": "abd"}},
            {"id": "b", "output": "abc", "attributes": {}},
        ],
    )
    gold = {"arguments": {"expected": "attributes.gold"}}
    refs = [
        publish(service, "near", scorer="Levenshtein", **gold),
        publish(service, "same", scorer="ExactMatch", **gold),
        publish(service, "asks", scorer="Humor", provider="local", model="judge-1"),
    ]
    service.wait_finished(service.submit(PROJECT, ["a", "b"], refs[:-1]), 300)
    service.wait_finished(service.submit(PROJECT, ["a"], refs[-1:]), 300)
    found = {(score["scorer_name"], score["call_id"]): score for score in scores(service)}
    assert found["near", "a"]["output"]["score"] == pytest.approx(2 / 3)
    assert found["same", "a"]["output"] == {"score": 0}
    assert found["near", "b"]["error"]["type"] == "missing_input"
    assert "attributes.gold" in found["near", "b"]["error"]["message"]
    # It asked the provider with its key. This judge does not answer as that scorer wants it: a failure, never a score.
    assert judging.judge.bodies[0]["model"] == "judge-1"
    assert found["asks", "a"]["status"] == "failed"
    assert found["asks", "a"]["lineage"]["model"] == "judge-1"


def test_one_that_could_never_run_is_refused_at_publishing_and_it_is_said_what_to_do(
    judging: Judging, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody-else")  # which the package would take by itself
    service = judging.start()
    for params, type_, told in (
        ({"scorer": "Levenstein"}, "unknown_scorer", "near is Levenshtein"),
        ({"scorer": "Exactmatch"}, "unknown_scorer", "near is ExactMatch"),
        ({"scorer": "Zzz"}, "unknown_scorer", "there are AnswerCorrectness, "),
        ({"scorer": "Factuality"}, "provider_missing", "CALLSCORE_PROVIDERS"),
        ({"scorer": "EmbeddingSimilarity"}, "provider_missing", "CALLSCORE_PROVIDERS"),
        ({"scorer": "Faithfulness"}, "provider_missing", "CALLSCORE_PROVIDERS"),
        ({"scorer": "Humor", "options": {"base_url": "http://127.0.0.1:1"}}, "endpoint_forbidden", "'base_url'"),
    ):
        answer = service.post("/scorers", {"name": "x", "kind": "autoevals", "params": params, "project_id": PROJECT})
        [detail] = answer.json["detail"]
        assert (answer.status, detail["type"], detail["loc"]) == (422, type_, ["body", "params"])
        assert told in detail["msg"]
    for scorer in ("Levenshtein", "NumericDiff", "JSONDiff", "ValidJSON", "ListContains", "ExactMatch"):
        publish(service, scorer, scorer=scorer)
    for scorer in ("Factuality", "ClosedQA", "EmbeddingSimilarity", "Moderation", "AnswerRelevancy"):
        publish(service, scorer, scorer=scorer, provider="local", model="judge-1")
