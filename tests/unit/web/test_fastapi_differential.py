"""The same mistake gets the answer that FastAPI gives for the contract's model."""

import asyncio
import json
from typing import Any

import pytest
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from hypothesis import given, settings
from hypothesis import strategies as st

from app.web.submit import CallsScoreReq
from tests.unit.web.client import Client

reference = FastAPI()


@reference.post("/calls/score")
async def calls_score(req: CallsScoreReq) -> dict[str, Any]:
    return {}


@reference.exception_handler(RequestValidationError)
async def answer(request: Request, error: RequestValidationError) -> Response:
    # FastAPI's own handler fails on NaN and lone surrogates, which it would show as `input`.
    kept = [{name: item[name] for name in ("loc", "msg", "type")} for item in error.errors()]
    return Response(json.dumps({"detail": kept}), 422)


def ask_reference(body: bytes, content_type: str | None) -> tuple[int, Any]:
    """FastAPI's status and decoded answer, through its ASGI interface."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": "/calls/score",
        "raw_path": b"/calls/score",
        "query_string": b"",
        "headers": [] if content_type is None else [(b"content-type", content_type.encode())],
    }
    asyncio.run(reference(scope, receive, send))
    return sent[0]["status"], json.loads(b"".join(message.get("body", b"") for message in sent[1:]))


def assert_same(client: Client, body: bytes, content_type: str | None = "application/json") -> None:
    status, expected = ask_reference(body, content_type)
    headers = {} if content_type is None else {"Content_Type": content_type}
    ours = client.post("/calls/score", body, **headers) if content_type else without_type(client, body)
    if status == 422:
        assert (ours.status, ours.json) == (422, expected)
    elif status == 400:  # what cannot even be decoded: FastAPI says so in a shape that the contract does not have
        assert ours.status == 422
        assert [item["type"] for item in ours.json["detail"]] == ["json_invalid"]
    else:
        assert status == 200
        assert ours.status in (422, 503)  # ids and refs are looked at next, and there is no worker
        types = {item["type"] for item in ours.json["detail"]}
        assert types <= {"invalid_id", "scorer_ref_not_found", "unavailable"}


def without_type(client: Client, body: bytes) -> Any:
    return client._runner.run(client._request("POST", "/calls/score", body, {}))


texts = st.text(max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts | st.just("\ud83d"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts | st.just("\udc00x"), inner, max_size=4),
    max_leaves=8,
)
near_misses = st.fixed_dictionaries(
    {},
    optional={
        "project_id": texts | values,
        "call_ids": st.lists(texts, max_size=4) | st.lists(values, max_size=4) | values,
        "scorer_refs": st.lists(texts, max_size=4) | st.lists(values, max_size=4) | values,
        "wb_user_id": values,
        "extra": values,
        "\ud83dkey": values,
    },
)
encoded = (near_misses | values).map(lambda value: json.dumps(value).encode())
mangled = st.tuples(encoded, st.integers(0, 200), st.binary(max_size=3)).map(
    lambda made: made[0][: made[1]] + made[2] + made[0][made[1] + 1 :]
)


@settings(max_examples=400, deadline=None)
@given(encoded)
def test_a_body_of_any_shape_gets_the_answer_that_fastapi_gives(client: Client, body: bytes) -> None:
    assert_same(client, body)


@settings(max_examples=300, deadline=None)
@given(mangled | st.binary(max_size=20))
def test_broken_json_gets_the_answer_that_fastapi_gives(client: Client, body: bytes) -> None:
    assert_same(client, body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"null",
        b"[]",
        b'"text"',
        b"{}",
        b"{",
        b'{"a":1}x',
        b"\xef\xbb\xbf{}",
        b"\xff",
        b"NaN",
        b"[" * 2000 + b"]" * 2000,
        b"1" * 5000,
        '{"project_id": "é", "call_ids": 1}'.encode("utf-16"),
        b'{"project_id":"a","project_id":2,"call_ids":[],"scorer_refs":[]}',
        b'{"project_id":"a","call_ids":[1e999,123456789012345678901234567890],"scorer_refs":[]}',
    ],
)
def test_odd_bodies_get_the_answer_that_fastapi_gives(client: Client, body: bytes) -> None:
    assert_same(client, body)


@pytest.mark.parametrize(
    "content_type",
    [None, "text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-8", "application/x+json"],
)
def test_a_content_type_counts_as_it_does_for_fastapi(client: Client, content_type: str | None) -> None:
    assert_same(client, b'{"project_id": 1}', content_type)


def test_a_million_mistakes_are_answered_with_the_first_thousand(client: Client) -> None:
    body = {"project_id": "a", "call_ids": ["ok", *range(100_000)], "scorer_refs": []}
    answer = client.post("/calls/score", body)
    assert answer.status == 422
    assert [item["loc"][2] for item in answer.json["detail"]] == list(range(1, 1001))
