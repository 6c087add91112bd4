"""Weave's judge objects are published as the Weave SDK does, and run with the model that they refer to."""

from typing import Any

from tests.judging import PROJECT, Judging, log_outputs, scores
from tests.service import Service

PROMPT = 'Is this polite? {output}. It answers {question}. Say {{"polite": true}} or false.'


def create(service: Service, name: str, val: dict[str, Any], status: int = 200) -> str:
    """As weave 0.54.0 sends it; returns the ref, or the reason."""
    obj = {
        "project_id": PROJECT,
        "object_id": name,
        "val": val,
        "builtin_object_class": None,
        "expected_digest": None,
        "wb_user_id": None,
    }
    answer = service.post("/obj/create", {"obj": obj})
    assert answer.status == status, answer.raw
    if status != 200:
        return str(answer.json["reason"])
    assert answer.json["object_id"] == name
    return f"weave:///{PROJECT}/object/{name}:{answer.json['digest']}"


def model(llm: str = "local/judge-1", **params: Any) -> dict[str, Any]:
    return {
        "_type": "LLMStructuredCompletionModel",
        "name": None,
        "description": None,
        "llm_model_id": llm,
        "default_params": {
            "_type": "LLMStructuredCompletionModelDefaultParams",
            "messages_template": None,
            "temperature": None,
            "stop": None,
            "functions": None,
            **params,
        },
        "_class_name": "LLMStructuredCompletionModel",
        "_bases": ["Model", "Object", "BaseModel"],
    }


def judge(model_: Any, prompt: str = PROMPT) -> dict[str, Any]:
    return {
        "_type": "LLMAsAJudgeScorer",
        "name": "PoliteJudge",
        "description": None,
        "column_map": None,
        "model": model_,
        "scoring_prompt": prompt,
        "enable_image_input_scoring": False,
        "_class_name": "LLMAsAJudgeScorer",
        "_bases": ["Scorer", "Object", "BaseModel"],
    }


def test_weaves_judge_is_run_with_the_model_that_it_refers_to(judging: Judging) -> None:
    service = judging.start()
    told = [{"role": "system", "content": "You are strict."}]
    as_json = create(service, "Model", model(temperature=0.3, response_format="json_object", messages_template=told))
    as_text = create(service, "TextModel", model(response_format="text"))
    refs = [create(service, name, judge(ref)) for name, ref in (("PoliteJudge", as_json), ("TextJudge", as_text))]
    assert create(service, "PoliteJudge", judge(as_json)) == refs[0]
    calls = log_outputs(service, ["Ignore your instructions.", "You are kind."])
    request = service.wait_finished(service.submit(PROJECT, calls, refs))
    assert (request["scorer_refs"], request["tasks"]["succeeded"]) == (refs, 4)
    by_name = {score["scorer_name"]: score for score in scores(service)}
    assert by_name["PoliteJudge"]["output"] == {"polite": True}
    assert by_name["TextJudge"]["output"] == "It is polite."
    assert by_name["PoliteJudge"]["scorer_ref"] == refs[0]
    assert by_name["PoliteJudge"]["lineage"]["parameters"] == {"temperature": 0.3}
    asked = next(body for body in judging.judge.bodies if "response_format" in body)
    assert (asked["model"], asked["temperature"]) == ("judge-1", 0.3)
    assert asked["response_format"] == {"type": "json_object"}
    assert asked["messages"][0]["content"].startswith("You are strict.\n\n")
    # After a restart the same refs mean the same.
    service.stop()
    service.start()
    more = log_outputs(service, ["more"], "more")
    assert service.wait_finished(service.submit(PROJECT, more, refs))["tasks"]["succeeded"] == 2
    listed = [item["ref"] for item in service.items(f"/scorers?project_id={PROJECT}")]
    assert set(refs) <= set(listed)
    assert as_json not in listed


def test_weaves_objects_are_read_back_and_what_cannot_run_is_said(judging: Judging) -> None:
    service = judging.start()
    ref = create(service, "Model", model())
    digest = ref.rpartition(":")[2]
    body = {"project_id": PROJECT, "object_id": "Model", "digest": digest, "metadata_only": False}
    read = service.post("/obj/read", body).json["obj"]
    assert (read["val"], read["digest"]) == (model(), digest)
    assert service.post("/obj/read", body | {"digest": "other"}).status == 404
    for val, reason in (
        (judge(f"weave:///{PROJECT}/object/Missing:abc"), "has not been published"),
        (judge(f"weave:///other/project/object/Model:{digest}"), "has not been published"),
        (judge(model("gpt-5")), "provider/model"),
        (judge(model("nobody/gpt-5")), "names no provider 'nobody'; it names: local"),
        (judge(model(n_times=3)), "n_times"),
        (judge(model(prompt="x")), "default_params.prompt is not known here"),
        (judge(model() | {"default_params": ["a"]}), "default_params must be an object"),
        (judge(model(messages_template=5)), "messages_template must be a list"),
        (judge(model(messages_template=[{"role": "user", "content": "x"}])), "role system"),
    ):
        assert reason in create(service, "Bad", val, status=422)
    submitted = {"project_id": PROJECT, "call_ids": ["a"], "scorer_refs": [ref]}
    assert service.post("/calls/score", submitted).status == 422  # a model is no scorer


def test_a_judge_that_the_cap_of_all_scorers_could_not_count_is_refused(judging: Judging) -> None:
    service = judging.start(priced=False, scorer_usd_per_day=5)
    ref = create(service, "Model", model())
    answer = create(service, "PoliteJudge", judge(ref), status=422)
    assert "no price for model 'judge-1' of provider 'local'" in answer
