"""Remote scorers over HTTP by Weave's public contract, with retries, and no way into the network."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.endpoint import Endpoint
from tests.judging import PROJECT, judged, log_outputs, scores
from tests.service import Service

KEY = "the-key-of-the-endpoint"


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    started = Endpoint().start()
    yield started
    started.stop()


@pytest.fixture
def service(make_service: Callable[..., Service], endpoint: Endpoint, tmp_path: Path) -> Service:
    """One that may ask the endpoint by 127.0.0.1, and others by their names."""
    file = tmp_path / "providers.toml"
    file.write_text(f'[mine]\nbase_url = "http://127.0.0.1:{endpoint.port}"\nkey = "ENDPOINT_KEY"\n')
    service = make_service(
        providers=file,
        remote_hosts="localhost,169.254.169.254,scoring.invalid",
        remote_private_hosts=f"127.0.0.1:{endpoint.port}",
        scorer_attempts=2,
        scorer_backoff=0.01,
    )
    service.extra_environment = {"ENDPOINT_KEY": KEY}
    return service.start()


def publish(service: Service, url: str, name: str = "remote", **more: Any) -> str:
    body = {"name": name, "kind": "remote", "params": {"endpoint_url": url, **more}, "project_id": PROJECT}
    answer = service.post("/scorers", body)
    assert answer.status == 201, answer.raw
    return str(answer.json["ref"])


def test_a_call_is_sent_by_the_contract_and_its_result_is_the_score(service: Service, endpoint: Endpoint) -> None:
    ref = publish(service, endpoint.url, provider="mine", config={"threshold": 0.8})
    request = judged(service, ["ten chars.", "twenty characters..."], ref)
    assert request["tasks"]["succeeded"] == 2
    assert [score["output"] for score in scores(service)] == [
        {"value": 0.1, "reason": "its length"},
        {"value": 0.2, "reason": "its length"},
    ]
    assert len(endpoint.seen) == 2
    headers, body = next((headers, body) for headers, body in endpoint.seen if "ten" in body["original_call"]["output"])
    assert headers["X-Weave-Schema-Version"] == "1"
    assert headers["X-Correlation-ID"]
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert headers["Content-Type"] == "application/json"
    assert body["schema_version"] == 1
    assert body["scorer"] == {"name": "remote", "ref": ref, "config": {"threshold": 0.8}}
    assert body["original_call"] == {
        "project_id": PROJECT,
        "call_id": "call-00000",
        "trace_id": "call-00000",
        "op_name": "answer",
        "inputs": {"question": "?"},
        "started_at": "2026-01-01T00:00:00Z",
        "ended_at": "2026-01-01T00:00:01Z",
        "output": "ten chars.",
    }
    for name in ("scoring_call_id", "scoring_trace_id", "triggered_at"):
        assert body[name]
    assert body["monitor"].keys() == {"name", "version_digest"}


def test_a_retry_has_the_same_idempotency_key_and_others_have_others(service: Service, endpoint: Endpoint) -> None:
    endpoint.once = "503"
    ref = publish(service, endpoint.url)
    request = service.submit(PROJECT, log_outputs(service, ["one"]), [ref])
    assert service.wait_finished(request)["tasks"]["succeeded"] == 1
    judged(service, ["two"], ref, prefix="other")
    keys = [headers["Idempotency-Key"] for headers, _ in endpoint.seen]
    assert len(keys) == 3
    assert keys[0] == keys[1] != keys[2]
    assert len({headers["X-Correlation-ID"] for headers, _ in endpoint.seen}) == 3


def test_each_way_in_which_an_endpoint_answers_ends_as_documented(service: Service, endpoint: Endpoint) -> None:
    ends = {
        "redirects": ("provider_refused", 1),
        "is_html": ("answer_malformed", 2),
        "of_another_version": ("answer_malformed", 2),
        "has_no_result": ("answer_malformed", 2),
        "is_huge": ("answer_too_large", 1),
        "400": ("provider_refused", 1),
        "404": ("provider_refused", 1),
        "408": ("provider_unavailable", 2),
    }
    for trick, (type_, requests) in ends.items():
        endpoint.trick, before = trick, len(endpoint.seen)
        ref = publish(service, endpoint.url, name=f"trick-{trick}")
        request = judged(service, ["text"], ref)
        [score] = scores(service, f"&scorer_ref={ref}")
        assert (request["tasks"]["failed"], score["error"]["type"]) == (1, type_), trick
        assert len(endpoint.seen) - before == requests, trick
        assert "output" not in score
    assert endpoint.elsewhere == 0
    endpoint.trick = ""
    ref = publish(service, endpoint.url, name="large")
    judged(service, ["x" * (1024**2 - 500)], ref, prefix="large")
    [score] = scores(service, f"&scorer_ref={ref}")
    assert score["error"]["type"] == "request_too_large"


def forbidden(endpoint: Endpoint) -> dict[str, str]:
    """Urls that the service may not ask; all but the last can be told from its settings."""
    return {
        "with-a-user": f"http://me:secret@127.0.0.1:{endpoint.port}/score",
        "not-named": f"https://example.invalid:{endpoint.port}/score",
        "another-port": "http://127.0.0.1:1/score",
        "no-https": f"http://localhost:{endpoint.port}/score",
        "metadata": "https://169.254.169.254/latest/meta-data",
        "as-a-number": f"http://2130706433:{endpoint.port}/score",
        "by-a-name-that-resolves-to-loopback": f"https://localhost:{endpoint.port}/score",
    }


def test_what_could_only_fail_is_not_published_and_the_setting_is_named(service: Service, endpoint: Endpoint) -> None:
    urls = forbidden(endpoint)
    del urls["by-a-name-that-resolves-to-loopback"]
    bodies = {name: {"name": name, "kind": "remote", "params": {"endpoint_url": url}} for name, url in urls.items()}
    for name, body in bodies.items():
        [detail] = service.post("/scorers", body).json["detail"]
        assert (detail["type"], detail["loc"]) == ("endpoint_forbidden", ["body", "params"]), name
    [detail] = service.post("/scorers", bodies["not-named"]).json["detail"]
    assert "example.invalid is not among the hosts that CALLSCORE_REMOTE_HOSTS allows" in detail["msg"]
    params = {"endpoint_url": endpoint.url, "provider": "typo"}
    [detail] = service.post("/scorers", {"name": "far", "kind": "remote", "params": params}).json["detail"]
    assert detail["type"] == "provider_unknown"
    assert "remote" not in [scorer["kind"] for scorer in service.items("/scorers")]


def test_nobody_is_asked_who_is_not_allowed_any_more_and_no_key_goes_astray(
    service: Service, endpoint: Endpoint
) -> None:
    urls = forbidden(endpoint)
    del urls["with-a-user"]
    service.stop()
    allowed = "example.invalid,127.0.0.1:1,localhost,169.254.169.254,2130706433"
    former = service.another(remote_private_hosts=allowed).start()
    refs = [publish(former, url, name=name) for name, url in urls.items()]
    former.stop()
    judged(service.start(), ["text"], *refs)
    found = scores(service)
    assert len(found) == len(refs)
    for score in found:
        assert (score["status"], score["error"]["type"]) == ("failed", "endpoint_forbidden"), score
        assert score["attempts"] == 1
    assert endpoint.seen == []
    # What is published already may be published again, as programs do at each start.
    assert [publish(service, url, name=name) for name, url in urls.items()] == refs


def test_a_host_that_is_not_there_is_tried_again(service: Service) -> None:
    ref = publish(service, "https://scoring.invalid/score")
    judged(service, ["text"], ref)
    [score] = scores(service)
    assert (score["error"]["type"], score["attempts"]) == ("provider_unreachable", 2)
