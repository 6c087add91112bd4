"""Who has no good key gets in nowhere but at the probes and the description."""

import base64
from pathlib import Path
from typing import Any

import pytest

from app.keys import add_key
from tests.unit.web.client import Client


@pytest.fixture
def key(key_path: Path) -> str:
    return add_key(key_path, "ann", ["acme/*"])


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


CLOSED = [
    ("GET", "/score-requests"),
    ("GET", "/score-requests/x"),
    ("GET", "/scores?project_id=acme/flow"),
    ("GET", "/calls?project_id=acme/flow"),
    ("GET", "/calls?project_id=acme/flow&call_id=c1"),
    ("GET", "/scorers"),
    ("POST", "/scorers"),
    ("POST", "/calls/score"),
    ("POST", "/call/upsert_batch"),
    ("POST", "/v2/acme/flow/calls/complete"),
    ("GET", "/server_info"),
    ("POST", "/graphql"),
    ("POST", "/file/create"),
    ("POST", "/file/content"),
    ("POST", "/table/create"),
    ("POST", "/refs/read_batch"),
    ("POST", "/calls/stream_query"),
    ("POST", "/feedback/query"),
    ("POST", "/feedback/purge"),
    ("GET", "/"),
    ("GET", "/no/such/path"),
    ("GET", "/dead-letters"),
    ("POST", "/dead-letters/redrive"),
    ("POST", "/dead-letters/dismiss"),
    ("GET", "/internal/rows"),
    ("GET", "/internal/rows/0"),
]


@pytest.mark.parametrize(("method", "path"), CLOSED)
def test_without_a_good_key_nothing_is_answered_but_401(locked: Client, method: str, path: str, key: str) -> None:
    for authorization in ("", "Basic", "Bearer ", "Bearer wrong", basic("api:wrong"), basic(key), "Basic é", key):
        answer = locked.request(method, path, Authorization=authorization)
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == 'Basic realm="callscore"'


def test_a_weave_path_says_401_in_weaves_shape_and_others_in_ours(locked: Client) -> None:
    assert list(locked.post("/call/upsert_batch", {}).json) == ["reason"]
    (detail,) = locked.post("/calls/score", {}).json["detail"]
    assert (detail["loc"], detail["type"]) == (["header", "Authorization"], "unauthorized")


@pytest.mark.parametrize("path", ["/healthz", "/openapi.json", "/docs", "/metrics"])
def test_probes_and_description_need_no_key(locked: Client, path: str) -> None:
    assert locked.get(path).status == 200


def test_a_good_key_passes_as_basic_password_and_as_bearer(locked: Client, key: str) -> None:
    for authorization in (basic(f"api:{key}"), basic(f"anyone:{key}"), f"Bearer {key}", f"bearer {key}"):
        assert locked.get("/", Authorization=authorization).status == 200


def test_another_projects_submission_is_403_and_its_reads_are_404(locked: Client, key: str) -> None:
    bearer = f"Bearer {key}"
    body = {"project_id": "other/flow", "call_ids": [], "scorer_refs": []}
    answer = locked.post("/calls/score", body, Authorization=bearer)
    assert (answer.status, answer.json["detail"][0]["loc"]) == (403, ["body", "project_id"])
    calls = {"batch": [{"project_id": "other/flow", "id": "1"}]}
    assert locked.post("/v2/other/flow/calls/complete", calls, Authorization=bearer).status == 403
    for path in ("/scores", "/scores/summary", "/calls", "/scorers", "/score-requests", "/dead-letters"):
        answer = locked.get(f"{path}?project_id=other/flow", Authorization=bearer)
        assert (answer.status, answer.json["detail"][0]["loc"]) == (404, ["query", "project_id"])
    for path in (
        "/scores/history?call_id=c&scorer_ref=s",
        "/scores/gaps?scorer_ref=s",
        "/scores/gaps/summary?scorer_ref=s",
    ):
        assert locked.get(f"{path}&project_id=other/flow", Authorization=bearer).status == 404
    for order in ("redrive", "dismiss"):
        path = f"/dead-letters/{order}"
        answer = locked.post(path, {"project_id": "other/flow"}, Authorization=bearer)
        assert (answer.status, answer.json["detail"][0]["loc"]) == (404, ["body", "project_id"])
        assert locked.post(path, {}, Authorization=bearer).status == 403


@pytest.mark.parametrize("path", ["/dead-letters", "/internal/rows", "/internal/rows/0"])
def test_what_is_of_all_projects_takes_a_key_for_every_project(locked: Client, key: str, path: str) -> None:
    assert locked.get(path, Authorization=f"Bearer {key}").status == 403


def test_publishing_for_every_project_takes_a_key_for_every_project(locked: Client, key: str) -> None:
    body = {"name": "n", "kind": "contains", "params": {"text": "x"}}
    assert locked.post("/scorers", body, Authorization=f"Bearer {key}").status == 403
    elsewhere = body | {"project_id": "other/flow"}
    assert locked.post("/scorers", elsewhere, Authorization=f"Bearer {key}").status == 403


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/calls/stream_query", {}, 404),
        ("/calls/query_stats", {}, 404),
        ("/call/read", {"id": "c"}, 404),
        ("/file/content", {"digest": "d"}, 404),
        ("/feedback/query", {}, 404),
        ("/feedback/purge", {"query": {"$expr": {"$literal": True}}}, 403),
        ("/feedback/create", {"weave_ref": "r", "feedback_type": "t", "payload": {}}, 403),
        ("/obj/read", {"object_id": "o", "digest": "d"}, 404),
        ("/refs/read_batch", {"refs": ["weave:///others/flow/object/o:d/key/k"]}, 404),
        ("/table/create", {"table": {"project_id": "others/flow", "rows": []}}, 403),
        ("/table/create_from_digests", {"row_digests": []}, 403),
        ("/table/update", {"base_digest": "d", "updates": []}, 403),
        ("/table/query", {"digest": "d"}, 404),
        ("/table/query_stats", {"digest": "d"}, 404),
    ],
)
def test_on_weaves_paths_too_a_key_is_for_its_projects_only(
    locked: Client, key: str, path: str, body: dict[str, Any], status: int
) -> None:
    answer = locked.post(path, {"project_id": "others/flow", **body}, Authorization=f"Bearer {key}")
    assert answer.status == status
    assert answer.json["reason"]
