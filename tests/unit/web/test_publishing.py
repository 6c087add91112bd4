"""What is published is kept as it is, or refused."""

import pytest

from app.scorers import Registry
from tests.unit.web.client import Client, running

NOT_KEPT = [
    (b"NaN", "$.x is nan, which JSON has no number for."),
    (b"[1, -Infinity]", "$.x[1] is -inf, which JSON has no number for."),
    (b'{"y": 100000000000000000000000000001}', "$.x.y is a whole number of more than 64 bits."),
    (b"-1" + b"0" * 4299, "$.x is a whole number of more than 64 bits."),
    (b'[null, "\\ud800"]', "$.x[1] has a lone surrogate, which UTF-8 cannot write."),
]


@pytest.mark.parametrize(("x", "reason"), NOT_KEPT)
def test_an_object_that_would_not_be_kept_as_it_is_is_refused(client: Client, x: bytes, reason: str) -> None:
    val = b'{"obj": {"project_id": "acme/flow", "object_id": "o", "val": {"x": ' + x + b"}}}"
    answer = client.post("/obj/create", val)
    assert (answer.status, answer.json["reason"]) == (422, f"The val is not JSON: {reason}")


@pytest.mark.parametrize("path", ["/scorers", "/scorers/try"])
@pytest.mark.parametrize(("x", "reason"), NOT_KEPT)
def test_parameters_that_would_not_be_kept_as_they_are_are_refused(
    client: Client, path: str, x: bytes, reason: str
) -> None:
    which = b'"name": "a"' if path == "/scorers" else b'"project_id": "acme/flow", "call_id": "c"'
    body = b'{"kind": "exact_match", "params": {"expected": ' + x + b"}, " + which + b"}"
    answer = client.post(path, body)
    assert answer.status == 422
    said = f"The parameters are not JSON: {reason}".replace("$.x", "$.expected")
    assert answer.json["detail"] == [{"loc": ["body", "params"], "msg": said, "type": "invalid_params"}]


def test_a_text_that_a_scorer_reads_as_a_number_that_is_none_is_refused() -> None:
    with running(Registry.load(["tests.gated_scorers"])) as client:
        answer = client.post("/scorers", {"name": "a", "kind": "Counted", "params": {"number": 1, "takes": "NaN"}})
    assert answer.status == 422
    said = "The parameters are not JSON: $.takes is nan, which JSON has no number for."
    assert answer.json["detail"][0]["msg"] == said


def test_a_policy_that_would_not_be_kept_as_it_is_is_refused(client: Client) -> None:
    policy = b'{"attempts": 100000000000000000000000000001}'
    answer = client.post(
        "/scorers", b'{"name": "a", "kind": "length", "params": {"max": 1}, "policy": ' + policy + b"}"
    )
    assert answer.status == 422
    said = "The policy is not JSON: $.attempts is a whole number of more than 64 bits."
    assert [(item["loc"], item["msg"]) for item in answer.json["detail"]] == [(["body", "policy"], said)]


def test_parameters_over_the_limit_are_413_whatever_is_in_them(client: Client) -> None:
    for expected in ("x" * 1024**2, [None] * 600_000):
        body = {"name": "a", "kind": "exact_match", "params": {"expected": expected}}
        answer = client.post("/scorers", body)
        assert (answer.status, answer.json["detail"][0]["type"]) == (413, "params_too_large")


def test_an_object_of_another_digest_than_the_client_expects_is_409(client: Client) -> None:
    obj = {"project_id": "acme/flow", "object_id": "o", "val": {"x": 1}}
    answer = client.post("/obj/create", {"obj": obj | {"expected_digest": "other"}})
    assert answer.status == 409
    digest = answer.json["reason"].removeprefix("The digest of the object is ")
    for expected in (digest, "", None):
        answer = client.post("/obj/create", {"obj": obj | {"expected_digest": expected}})
        assert answer.status == 503  # there is no log here: it got as far as being written


@pytest.mark.parametrize(
    ("body", "loc", "type"),
    [
        ({"name": "a:b", "kind": "contains"}, ["body", "name"], "invalid_id"),
        ({"name": "a/b", "kind": "contains"}, ["body", "name"], "invalid_id"),
        ({"name": "", "kind": "contains"}, ["body", "name"], "invalid_id"),
        ({"name": "a", "kind": "nope"}, ["body", "kind"], "unknown_kind"),
        ({"name": "a", "kind": "length", "params": {"max": "x"}}, ["body", "params"], None),
        ({"name": "a", "kind": "contains", "project_id": "a\nb"}, ["body", "project_id"], "invalid_id"),
        ({"name": "a", "kind": "contains", "extra": 1}, ["body", "extra"], "extra_forbidden"),
    ],
)
def test_a_scorer_that_cannot_be_published_is_422_at_its_place(
    client: Client, body: object, loc: list[str], type: str | None
) -> None:
    answer = client.post("/scorers", body)
    assert answer.status == 422
    detail = answer.json["detail"][0]
    assert detail["loc"][:2] == loc
    assert type in (None, detail["type"])


@pytest.mark.parametrize("name", ["refusal", "not_empty", "valid_json"])
@pytest.mark.parametrize("more", [{}, {"project_id": "acme/flow"}])
def test_the_name_of_a_scorer_that_is_there_without_being_published_cannot_be_taken_over(
    client: Client, name: str, more: dict[str, str]
) -> None:
    answer = client.post("/scorers", {"name": name, "kind": "contains", "params": {"text": "x"}, **more})
    assert answer.status == 422
    assert [(item["loc"], item["type"]) for item in answer.json["detail"]] == [(["body", "name"], "name_taken")]


def test_the_name_of_a_kind_that_must_be_published_is_free(client: Client) -> None:
    answer = client.post("/scorers", {"name": "contains", "kind": "contains", "params": {"text": "x"}})
    assert answer.status == 503  # there is no log here: it got as far as being written


def test_kinds_are_listed_with_the_schema_of_their_parameters(client: Client) -> None:
    listed = client.get("/scorers/kinds").json
    assert listed["next_cursor"] is None
    kinds = {item["kind"]: item for item in listed["items"]}
    assert list(kinds) == sorted(Registry.load().kinds())
    assert sorted(kinds["regex"]) == ["description", "kind", "params"]
    assert kinds["regex"]["params"]["required"] == ["pattern"]
    assert kinds["not_empty"]["params"]["properties"] == {}


def test_an_unknown_kind_is_answered_with_those_there_are(client: Client) -> None:
    message = client.post("/scorers", {"name": "a", "kind": "nope"}).json["detail"][0]["msg"]
    assert "contains" in message
    assert "regex" in message
