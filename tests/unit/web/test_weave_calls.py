"""Calls on Weave's paths that cannot be kept are refused with a reason, each at its place."""

import orjson
import pytest

from app.web.weave.calls import MAX_BATCH
from tests.unit.web.client import Client


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v2/acme/flow/calls/complete", b"{", 422),
        ("/v2/acme/flow/calls/complete", {}, 422),
        ("/v2/acme/flow/calls/complete", {"batch": [{"project_id": "acme/other", "id": "1"}]}, 400),
        ("/v2/acme/flow/calls/complete", {"batch": [{"project_id": "acme/flow", "id": ""}]}, 422),
        ("/v2/acme/flow/calls/complete", {"batch": [{"project_id": "acme/flow", "id": "x", "inputs": 1}]}, 422),
        ("/v2/acme/flow/calls/complete", {"batch": [1]}, 422),
        ("/v2/acme/flow/calls/complete", b'{"batch":' + b"[" * 400 + b"]" * 400 + b"}", 422),
        ("/call/upsert_batch", {"batch": [{"mode": "middle"}]}, 422),
        ("/call/upsert_batch", {"batch": [{"mode": "end", "req": {}}]}, 422),
        ("/v2/acme/flow/call/start", {}, 422),
        ("/v2/acme/flow/call/end", {"end": {"project_id": "acme/flow"}}, 422),
        ("/obj/create", {}, 422),
        ("/objs/query", {}, 404),
    ],
)
def test_mistakes_on_weaves_paths_are_a_reason(client: Client, path: str, body: object, status: int) -> None:
    answer = client.post(path, body)
    assert answer.status == status
    assert list(answer.json) == ["reason"]


@pytest.mark.parametrize("path", ["/v2/acme/flow/calls/complete", "/call/upsert_batch"])
@pytest.mark.parametrize("item", [b'{"a":1}', b'{"a":NaN}'])
def test_a_batch_of_too_many_calls_is_413_so_that_it_is_sent_in_halves(client: Client, path: str, item: bytes) -> None:
    def batch(items: int) -> bytes:
        return b'{"batch":[' + b",".join([item] * items) + b"]}"

    answer = client.post(path, batch(MAX_BATCH + 1))
    assert answer.status == 413
    assert answer.json["reason"].startswith("the batch has 10001 calls, more than 10000")
    assert client.post(path, batch(MAX_BATCH)).status == 422


def test_of_many_mistakes_the_first_are_named_and_all_are_counted(client: Client) -> None:
    batch = [{"project_id": "acme/flow", "id": "x", "output": "x" * 1024**2}] + [{"a": 1}] * 99
    answer = client.post("/v2/acme/flow/calls/complete", {"batch": batch})
    assert answer.status == 422
    reasons = answer.json["reason"].split("; ")
    assert reasons[0].startswith("call 'x' has ")
    assert reasons[1:20] == [f"batch[{number}].id: Field required" for number in range(1, 20)]
    assert reasons[20:] == ["and 80 more (0 of 100 calls were kept)"]


BAD_IDS = [rb'"\ud800"', rb'"x\udfff"']
BAD_CALLS = [
    ("/v2/acme/flow/calls/complete", b'{"batch": [%s]}', b"batch[0]"),
    ("/v2/acme/flow/call/start", b'{"start": %s}', b"start"),
    ("/v2/acme/flow/call/end", b'{"end": %s}', b"end"),
    ("/call/upsert_batch", b'{"batch": [{"mode": "start", "req": {"start": %s}}]}', b"batch[0]"),
    ("/call/upsert_batch", b'{"batch": [{"mode": "end", "req": {"end": %s}}]}', b"batch[0]"),
]


NO_TEXT, NO_TIME = "Input should be a valid string", "Input should be a time such as 2026-01-31T12:00:00Z"
TIMES = ["2026-01-31T12:00:00.123456789Z", "2026-01-31T12:00:00+02:00", "2026-01-31 12:00", None]


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        *(("started_at", value, NO_TIME) for value in ("yesterday", "", "99999-01-01T00:00:00Z")),
        *(("ended_at", value, NO_TEXT) for value in (1767268800, ["2026-01-31"])),
        *((name, value, NO_TEXT) for name in ("trace_id", "parent_id", "thread_id", "turn_id") for value in (7, ["t"])),
    ],
)
def test_a_call_with_a_time_or_an_id_that_is_none_is_refused(
    client: Client, field: str, value: object, reason: str
) -> None:
    call = orjson.dumps({"project_id": "acme/flow", "id": "1", "trace_id": "1", field: value})
    for path, body, where in BAD_CALLS:
        answer = client.post(path, body % call)
        assert (answer.status, answer.json["reason"]) == (422, f"{where.decode()}.{field}: {reason}")


@pytest.mark.parametrize("time", TIMES)
def test_a_call_may_have_any_time_of_iso_8601(client: Client, time: str | None) -> None:
    call = {"project_id": "acme/flow", "id": "1", "started_at": time, "ended_at": time, "parent_id": None}
    assert client.post("/v2/acme/flow/calls/complete", {"batch": [call]}).status == 503  # there is no log here


@pytest.mark.parametrize(("path", "body", "where"), BAD_CALLS)
@pytest.mark.parametrize("bad_id", BAD_IDS)
def test_a_call_whose_id_is_no_text_in_utf_8_is_refused(
    client: Client, path: str, body: bytes, where: bytes, bad_id: bytes
) -> None:
    answer = client.post(path, body % (b'{"project_id": "acme/flow", "id": ' + bad_id + b', "output": "\\ud83d"}'))
    assert answer.status == 422
    assert answer.json["reason"] == f"{where.decode()}: an id must be valid UTF-8"


@pytest.mark.parametrize("bad_id", BAD_IDS)
def test_a_call_of_a_project_whose_id_is_no_text_in_utf_8_is_refused(client: Client, bad_id: bytes) -> None:
    body = b'{"batch": [{"mode": "end", "req": {"end": {"id": "x", "project_id": ' + bad_id + b"}}}]}"
    answer = client.post("/call/upsert_batch", body)
    assert (answer.status, answer.json["reason"]) == (422, "batch[0]: an id must be valid UTF-8")
    body = b'{"batch": [{"id": "x", "project_id": ' + bad_id.replace(b'"', b'"acme/', 1) + b"}]}"
    assert client.post("/v2/acme/%EF%BF%BD/calls/complete", body).status == 400


def test_a_single_call_is_named_as_what_it_is_and_not_as_one_of_a_batch(client: Client) -> None:
    for part in ("start", "end"):
        answer = client.post(f"/v2/acme/flow/call/{part}", {part: {"id": "x"}})
        assert (answer.status, answer.json["reason"]) == (422, f"{part}.project_id: Field required")


@pytest.mark.parametrize("call", [b'"\xff"', b"tru", b"[1,]", b"[" * 3000 + b"]" * 3000, b"1" * 5000])
def test_a_batch_with_what_is_no_json_is_refused_as_a_whole(client: Client, call: bytes) -> None:
    answer = client.post("/v2/acme/flow/calls/complete", b'{"batch": [{"id": "a", "output": ' + call + b"}]}")
    assert (answer.status, answer.json["reason"]) == (422, "the body is not valid JSON")


def test_a_call_nested_deeper_than_the_log_can_be_read_is_refused(client: Client) -> None:
    deep = b'{"batch":[{"project_id":"acme/flow","id":"deep","output":' + b"[" * 192 + b"]" * 192 + b"}]}"
    answer = client.post("/v2/acme/flow/calls/complete", deep)
    assert answer.status == 422
    assert "'deep' is nested too deeply" in answer.json["reason"]


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "application/x+json"])
def test_calls_are_taken_from_all_that_says_that_it_is_json(client: Client, content_type: str) -> None:
    answer = client.post("/v2/acme/flow/calls/complete", {"batch": [{}]}, Content_Type=content_type)
    assert "batch[0].id: Field required" in answer.json["reason"]
