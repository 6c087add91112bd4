"""Scorers of the package autoevals ask whom the providers file names, once an attempt, and nobody else."""

import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from app.judges import AutoEvals
from app.judges.autoevals import _client, never_runs
from app.providers import Provider
from app.scorers import Failure, NoJudgement
from app.settings import Settings
from tests.judge import Judge

pytest.importorskip("autoevals")

CALL = {"inputs": {"q": "why?"}, "output": "so", "attributes": {"gold": "so"}}
KEY = "sk-of-the-provider"


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch, judge: Judge) -> Judge:
    """Whom settings name; the environment names somebody else."""
    monkeypatch.setenv("LOCAL_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody-else")
    monkeypatch.setenv("BRAINTRUST_AI_GATEWAY_URL", f"{judge.origin}/gateway")
    settings = Settings(providers={"local": Provider(base_url=f"{judge.origin}/v1", key="LOCAL_KEY")})
    monkeypatch.setattr("app.judges.chat.get_settings", lambda: settings)
    _client.cache_clear()
    return judge


def score(scorer: str, **params: Any) -> Any:
    made = AutoEvals.model_validate({"scorer": scorer, "arguments": {"expected": "attributes.gold"}, **params})
    return made.score(output=CALL["output"], call=CALL)


@pytest.mark.parametrize(
    ("params", "type_"),
    [
        ({"scorer": "Humor"}, "provider_missing"),
        ({"scorer": "Humor", "options": {"api_key": "x"}}, "endpoint_forbidden"),
        ({"scorer": "Humor", "options": {"base_url": "http://127.0.0.1/latest"}}, "endpoint_forbidden"),
        ({"scorer": "Humor", "provider": "local", "options": {"client": {}}}, "endpoint_forbidden"),
        ({"scorer": "LiteLLMClient"}, "unknown_scorer"),
    ],
)
def test_who_would_ask_anybody_but_a_provider_is_refused_at_publishing_and_when_it_runs(
    asked: Judge, params: dict[str, Any], type_: str
) -> None:
    never = never_runs(AutoEvals.model_validate(params))
    assert never is not None
    assert never.type == type_
    with pytest.raises(NoJudgement) as refused:
        score(**params)
    assert (refused.value.type, asked.bodies) == (type_, [])


@pytest.mark.parametrize(
    ("status", "type_", "failure"),
    [
        (429, "provider_throttled", Failure.THROTTLED),
        (503, "provider_unavailable", Failure.UNAVAILABLE),
        (401, "provider_unauthorized", Failure.UNAUTHORIZED),
        (302, "provider_refused", Failure.TERMINAL),
    ],
)
def test_a_refusal_ends_the_attempt_and_says_what_it_is_without_the_key(
    asked: Judge, status: int, type_: str, failure: Failure
) -> None:
    asked.status, asked.headers = status, {"Retry-After": "7", "Location": "/v1/elsewhere"}
    with pytest.raises(NoJudgement) as refused:
        score("Humor", provider="local", model="judge-1")
    error = refused.value
    assert (error.type, error.failure) == (type_, failure)
    assert error.retry_after == (7 if status >= 400 else None)
    assert f"provider local answered {status}" in error.message
    assert KEY not in error.message
    assert len(asked.bodies) == 1
    assert set(asked.keys) == {f"Bearer {KEY}"}


@pytest.mark.parametrize("scorer", ["AnswerSimilarity", "EmbeddingSimilarity", "Moderation"])
def test_scorers_within_scorers_ask_the_provider_too(scorer: str) -> None:
    with pytest.raises(NoJudgement, match="provider local answered 404"):
        score(scorer, provider="local")


def test_one_that_asks_nobody_runs_with_a_provider_and_without() -> None:
    assert score("Levenshtein")["score"] == score("Levenshtein", provider="local")["score"] == 1


def test_a_reference_in_a_schema_of_a_call_reaches_no_url_and_no_file(tmp_path: Path) -> None:
    file = tmp_path / "any.json"
    file.write_text("{}")
    reached = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            reached.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        made = AutoEvals.model_validate({"scorer": "ValidJSON", "arguments": {"expected": "attributes.schema"}})
        for reference in (f"http://127.0.0.1:{server.server_port}/", file.as_uri()):
            with pytest.raises(Exception, match="Unresolvable"):
                made.score(output="{}", call={"inputs": {"q": 1}, "attributes": {"schema": {"$ref": reference}}})
        server.shutdown()
    assert reached == []
    within = {"$defs": {"any": {}}, "$ref": "#/$defs/any"}
    assert made.score(output=json.dumps({}), call={"inputs": {"q": 1}, "attributes": {"schema": within}})["score"] == 1
