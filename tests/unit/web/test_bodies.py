"""Bodies that cannot be read, are too large or have very many mistakes are refused, in the shape of their path."""

import gzip
import re
from collections.abc import Iterable

import pytest
from aiohttp import web

from app.scorers import Registry
from app.web.errors import Detail, is_weave_path
from app.web.routes import ROUTES
from tests.unit.web.client import Client, running


@pytest.mark.parametrize("path", ["/obj/create", "/scorers", "/calls/score"])
def test_a_body_nested_deeper_than_the_log_can_be_read_is_refused(client: Client, path: str) -> None:
    val = b'{"obj": {"project_id": "acme/flow", "object_id": "o", "val": {"x": ' + b"[" * 960 + b"]" * 960 + b"}}}"
    answer = client.post(path, val)
    assert answer.status == 422
    assert b"nested more than 190 levels deep" in answer.raw


UNKNOWN = {f"field {number}": 1 for number in range(5_000)}


@pytest.mark.parametrize(
    ("path", "body", "where"),
    [
        ("/calls/score", {"project_id": "acme/flow", "call_ids": [], "scorer_refs": [], **UNKNOWN}, ["body"]),
        ("/dead-letters/redrive", UNKNOWN, ["body"]),
        ("/scorers", {"name": "a", "kind": "length", "policy": UNKNOWN}, ["body", "policy"]),
    ],
)
def test_of_very_many_fields_that_are_not_known_the_first_thousand_are_named(
    client: Client, path: str, body: dict[str, object], where: list[str]
) -> None:
    answer = client.post(path, body)
    assert answer.status == 422
    assert [item["loc"] for item in answer.json["detail"]] == [[*where, name] for name in list(UNKNOWN)[:1_000]]


MANY = 50_000
RULE = {"name": "a", "project_id": "acme/flow", "scorer_refs": ["s"]}
JUDGE = {"provider": "p", "model": "m", "prompt": "{output}", "scale": {"type": "boolean"}}
SUBMISSION = {"project_id": "acme/flow", "call_ids": [], "scorer_refs": []}


@pytest.mark.parametrize(
    ("path", "body", "found"),
    [
        ("/calls/score", SUBMISSION | {"call_ids": ["ok", *range(MANY)]}, 1_000),
        ("/calls/score", SUBMISSION | {"call_ids": [""] * MANY}, 1_000),
        ("/calls/score", SUBMISSION | {"scorer_refs": ["s:", *([1] * MANY)]}, 1_000),
        ("/calls/score", SUBMISSION | {"scorer_refs": ["s:"] * MANY}, 1_000),
        ("/rules", RULE | {"where": UNKNOWN}, 1),
        ("/rules", RULE | {"scorer_refs": [1] * MANY}, 1),
        ("/dead-letters/dismiss", {"ids": [1] * MANY}, 1),
        ("/scorers", {"name": "a", "kind": "llm_judge", "params": JUDGE | {"parameters": {"stop": [1] * MANY}}}, 1),
    ],
)
def test_of_a_body_with_any_number_of_mistakes_few_are_described(
    path: str, body: dict[str, object], found: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    described = []

    def detail(loc: Iterable[str | int], msg: str, type: str) -> Detail:
        described.append(msg)
        return {"loc": list(loc), "msg": msg, "type": type}

    for module in ("errors", "refusals", "resolve", "splitting"):
        monkeypatch.setattr(f"app.web.{module}.detail", detail)
    with running(Registry.load(["app.judges"])) as client:
        answer = client.post(path, body)
    assert answer.status == 422
    assert len(answer.json["detail"]) == len(described) == found


def empties(number: int) -> bytes:
    return b"[" + b",".join([b"{}"] * (number - 1)) + b"]"


MOST = 2_500_000


@pytest.mark.parametrize("path", ["/calls/score", "/scorers", "/table/create", "/graphql"])
def test_a_body_that_would_take_long_to_decode_is_413(client: Client, path: str) -> None:
    answer = client.post(path, b'{"x": ' + empties(MOST) + b"}")
    assert (answer.status, b"2500001 opening braces and brackets, more than 2500000" in answer.raw) == (413, True)


def test_a_batch_may_take_long_to_decode_but_none_of_its_calls(client: Client) -> None:
    def batch(*outputs: bytes) -> bytes:
        calls = (b'{"id": "%d", "project_id": "acme/flow", "output": %s}' % one for one in enumerate(outputs))
        return b'{"batch": [' + b",".join(calls) + b"]}"

    path = "/v2/acme/flow/calls/complete"
    assert client.post(path, batch(*[empties(12_000)] * 100)).status == 503  # there is no log here
    assert client.post(path, batch(b"1", empties(MOST))).status == 413


def test_the_largest_submission_is_taken(client: Client) -> None:
    refs = ["callscore:///scorer/not_empty:latest"]
    call_ids = [f"{number:029x}" for number in range(1_000_000)]
    answer = client.post("/calls/score", {"project_id": "a", "call_ids": call_ids, "scorer_refs": refs})
    assert answer.status == 503  # there is no log here: it got as far as being written


@pytest.mark.parametrize(
    "path",
    ["/scorers", "/scorers/try", "/dead-letters/redrive", "/score-requests/x/retry", "/obj/create", "/call/read"],
)
@pytest.mark.parametrize(
    ("body", "content_type"), [(b"[]", "application/json"), (b"null", "application/json"), (b"{}", "text/plain")]
)
def test_a_body_that_is_no_object_of_json_is_refused_in_words_of_ours(
    client: Client, path: str, body: bytes, content_type: str
) -> None:
    answer = client.post(path, body, Content_Type=content_type)
    assert answer.status == 422
    said = "The body must be a JSON object, sent with Content-Type: application/json"
    assert said == (answer.json["reason"] if is_weave_path(path) else answer.json["detail"][0]["msg"])


def _part(headers: str, content: bytes = b"x") -> bytes:
    return b"--x\r\n" + headers.encode() + b"\r\n\r\n" + content + b"\r\n--x--\r\n"


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b""),
        ("multipart/form-data; boundary=x", b""),
        ("multipart/form-data; boundary=x", b"no form at all"),
        ("multipart/form-data; boundary=x", _part("no header")),
        ("multipart/form-data; boundary=x", _part('Content-Disposition: form-data; name="a"')[:-8]),
        (
            "multipart/form-data; boundary=x",
            _part('Content-Disposition: form-data; name="a"\r\nContent-Transfer-Encoding: foo'),
        ),
        (
            "multipart/form-data; boundary=x",
            _part('Content-Disposition: form-data; name="a"\r\nContent-Type: text/plain; charset=foo'),
        ),
        ("multipart/form-data; boundary=x", _part('Content-Disposition: form-data; name="_charset_"', b"foo" * 20)),
        ("application/x-www-form-urlencoded; charset=foo", b"project_id=a"),
        ("application/x-www-form-urlencoded", b"project_id=a&file=x"),
        ("application/json", b"{}"),
    ],
)
def test_a_malformed_form_is_refused_as_a_mistake_of_the_client(
    client: Client, content_type: str, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    answer = client.post("/file/create", body, Content_Type=content_type)
    assert answer.status == 422, answer.raw
    assert caplog.records == []


def test_a_body_over_the_limit_is_413(client: Client) -> None:
    answer = client.post("/calls/score", b" " * (32 * 1024**2 + 1))
    assert (answer.status, answer.json["detail"][0]["type"]) == (413, "body_too_large")


def test_a_form_of_too_many_fields_is_413_and_says_so(client: Client) -> None:
    fields = b"".join(b'--x\r\nContent-Disposition: form-data; name="%d"\r\n\r\n1\r\n' % n for n in range(1_001))
    answer = client.post("/file/create", fields + b"--x--\r\n", Content_Type="multipart/form-data; boundary=x")
    assert (answer.status, answer.json) == (413, {"reason": "Maximum number of form fields 1000 exceeded."})


_GZIP_HEADER = gzip.compress(b"{}")[:10]
_BODILESS = (
    "/score-requests/{request_id}/cancel",
    "/breakers/{scorer}/close",
    "/rules/{rule_id}/pause",
    "/rules/{rule_id}/resume",
    "/rules/{rule_id}/remove",
)


def paths_that_take_a_body() -> list[str]:
    taking = (route for route in ROUTES if isinstance(route, web.RouteDef) and route.method == "POST")
    return [re.sub(r"\{\w+\}", "x", route.path) for route in taking if route.path not in _BODILESS]


@pytest.mark.parametrize("path", paths_that_take_a_body())
@pytest.mark.parametrize(
    ("encoding", "body"),
    [("gzip", b"no gzip"), ("gzip", _GZIP_HEADER + b"\xff" * 20), ("deflate", b"\x78\x9c\xff\xff")],
    ids=["no-gzip", "broken-gzip", "broken-deflate"],
)
def test_a_body_that_is_not_encoded_as_it_says_is_400_in_the_shape_of_its_path(
    client: Client, path: str, encoding: str, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    content = "multipart/form-data; boundary=x" if path == "/file/create" else "application/json"
    answer = client.post(path, body, Content_Encoding=encoding, Content_Type=content)
    assert answer.status == 400, answer.raw
    said = "The body cannot be read: it is not encoded as its headers say"
    detail = {"loc": ["body"], "msg": said, "type": "body_unreadable"}
    assert answer.json in ({"reason": said}, {"detail": [detail]})
    assert ("reason" in answer.json) == is_weave_path(path)
    assert caplog.records == []


@pytest.mark.parametrize("token", ["", "x" * 513])
def test_a_rescore_token_that_cannot_be_an_id_is_422(client: Client, token: str) -> None:
    body = {"project_id": "a", "call_ids": [], "scorer_refs": []}
    answer = client.post("/calls/score", body, Callscore_Rescore=token)
    assert (answer.status, answer.json["detail"][0]["loc"]) == (422, ["header", "Callscore-Rescore"])
