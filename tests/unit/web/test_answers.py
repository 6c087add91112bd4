"""What is answered before any table is asked: mistakes, in the shape of their path, and never from the inside."""

import asyncio
import gzip
import re
from collections.abc import Iterable
from datetime import UTC, datetime

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer, make_mocked_request
from pydantic import ValidationError

from app import slices
from app.scorers import Registry
from app.web import health, metrics, pages
from app.web.dead_letters import LettersQuery
from app.web.errors import Detail, is_weave_path
from app.web.openapi.document import PATHS
from app.web.paging import encode_cursor
from app.web.routes import ROUTES
from app.web.server import create_app
from app.web.weave.calls import MAX_BATCH
from tests.unit.web.client import Client, running


@pytest.mark.parametrize(
    ("method", "path", "status", "type"),
    [
        ("GET", "/nothing/here", 404, "not_found"),
        ("DELETE", "/scores", 405, "method_not_allowed"),
        ("GET", "/calls/score", 405, "method_not_allowed"),
        ("GET", "/scores", 422, "missing"),
        ("GET", "/scores?project_id=a&status=done", 422, "literal_error"),
        ("GET", "/scores?project_id=a&limit=1001", 422, "less_than_equal"),
        ("GET", "/scores?project_id=a&limit=x", 422, "int_parsing"),
        ("GET", "/scores?project_id=a&statsu=failed", 422, "extra_forbidden"),
        ("GET", "/scores?project_id=a&status=failed&status=cancelled", 422, "repeated"),
        ("GET", "/scores?project_id=%00", 422, "value_error"),
        ("GET", "/scores/summary?project_id=a&group_by=output.x", 422, "string_pattern_mismatch"),
        ("GET", "/calls?project_id=a&cursor=!", 422, "invalid_cursor"),
        ("GET", "/score-requests?limit=0", 422, "greater_than_equal"),
        ("GET", "/scores/history?project_id=a&call_id=c", 422, "missing"),
        ("GET", "/scores/gaps?project_id=a", 422, "missing"),
        ("GET", "/scores?project_id=a&scorer_ref=s%00r", 422, "value_error"),
        ("GET", "/scores/history?project_id=a&call_id=c&scorer_ref=s%00r", 422, "value_error"),
        ("GET", "/scores/summary?project_id=a&scorer_ref=s%00r", 422, "value_error"),
        ("GET", "/scores/gaps?project_id=a&scorer_ref=s%00r", 422, "value_error"),
        ("GET", "/scores/gaps/summary?project_id=a&scorer_ref=s%00r", 422, "value_error"),
        ("GET", "/scores/gaps?project_id=a&scorer_ref=s&reason=lost", 422, "literal_error"),
        ("GET", "/scores?project_id=a&as_of=2026-01-01T00:00:00", 422, "timezone_aware"),
        ("GET", "/dead-letters?since=yesterday", 422, "datetime_from_date_parsing"),
        ("GET", "/dead-letters?until=9999-12-31T23:59:59-14:00", 422, "value_error"),
        ("GET", "/scorers/costs?project_id=a&since=0001-01-01T00:00:00%2B14:00", 422, "value_error"),
        ("GET", "/dead-letters?topic=typo", 422, "value_error"),
        ("GET", "/dead-letters?reason=typo", 422, "literal_error"),
    ],
)
def test_mistakes_are_named_in_our_shape(client: Client, method: str, path: str, status: int, type: str) -> None:
    answer = client.request(method, path)
    assert answer.status == status
    (detail,) = answer.json["detail"]
    assert sorted(detail) == ["loc", "msg", "type"]
    assert detail["type"] == type
    if status == 422:
        assert detail["loc"][0] == "query"


PLACE = "00001767225600000.0199-a"
LETTER = "001767225600000.calls.3.7"
EVENT = "0000000000000007.0001."
SCORERS = ["\0".join(["0", "name", "1", "0998232774400000", "digest"]), "1\0refusal"]
CALLS_AND_SCORES = ["acme/flow\0c", "acme/flow\0c\0s", "acme/other\0c", "acme/other\0c\0s"]
BREAKERS = ["\0".join([place, "name", "ref", ""]) for place in "01"]
KEYS = [*CALLS_AND_SCORES, PLACE, LETTER, "call", EVENT, *SCORERS, *BREAKERS]


@pytest.mark.parametrize(
    ("path", "own"),
    [
        ("/calls?project_id=acme/flow", [KEYS[0]]),
        ("/scores?project_id=acme/flow", [KEYS[1]]),
        ("/scores?project_id=acme/flow&call_id=c", [KEYS[1]]),
        ("/scores?project_id=acme/flow&call_id=d", []),
        ("/score-requests?", [PLACE]),
        ("/dead-letters?", [LETTER]),
        ("/scores/history?project_id=acme/flow&call_id=c&scorer_ref=s", [EVENT]),
        ("/scorers?", SCORERS),
        ("/breakers?", BREAKERS),
    ],
)
def test_a_list_takes_no_cursor_of_another_list_or_project(client: Client, path: str, own: list[str]) -> None:
    assert client.get(f"{path}&cursor=").status == 422
    for key in KEYS:
        answer = client.get(f"{path}&cursor={encode_cursor(key)}")
        if key in own:
            assert answer.status == 503  # there are no tables here: it got as far as asking them
        else:
            assert answer.status == 422, (key, answer.raw)
            detail = answer.json["detail"][0]
            assert (detail["loc"], detail["type"]) == (["query", "cursor"], "invalid_cursor")


@pytest.mark.parametrize("cursor", ["", encode_cursor(PLACE)])
def test_an_order_takes_no_cursor_but_of_its_letters(client: Client, cursor: str) -> None:
    answer = client.post("/dead-letters/dismiss", {"cursor": cursor})
    detail = answer.json["detail"][0]
    assert (answer.status, detail["loc"], detail["type"]) == (422, ["body", "cursor"], "invalid_cursor")


def test_a_parameter_that_is_a_time_may_be_a_date() -> None:
    query = LettersQuery.model_validate({"since": "2026-11-01"})
    assert query.since == datetime(2026, 11, 1, tzinfo=UTC)
    with pytest.raises(ValidationError):
        LettersQuery.model_validate({"since": "2026-11-31"})


@pytest.mark.parametrize("order", ["redrive", "dismiss"])
def test_an_order_up_to_a_time_that_has_no_name_is_refused_before_it_is_carried_out(client: Client, order: str) -> None:
    for until in ("9999-12-31T23:59:59-14:00", "9999-12-31T23:59:59.999999Z"):
        answer = client.post(f"/dead-letters/{order}", {"until": until})
        assert (answer.status, answer.json["detail"][0]["loc"]) == (422, ["body", "until"])


@pytest.mark.parametrize("order", ["redrive", "dismiss"])
def test_an_order_for_letters_whose_ids_cannot_be_ids_is_refused(client: Client, order: str) -> None:
    answer = client.post(f"/dead-letters/{order}", rb'{"ids": ["000000000000000.calls.0.0", "0\ud800.0.0"]}')
    assert (answer.status, answer.json["detail"][0]["loc"]) == (422, ["body", "ids", 1])


def test_a_partition_that_cannot_be_is_not_here(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.cluster.check_ready", lambda: None)
    monkeypatch.setattr("app.cluster.partitions_here", lambda: {7})
    for partition in ("1", "-7", "x", "7" * 5_000):
        answer = client.get(f"/internal/rows/{partition}")
        assert (answer.status, answer.json["detail"][0]["type"]) == (503, "unavailable")


def test_a_redrive_of_letters_that_cannot_be_is_refused_with_what_there_is(client: Client) -> None:
    answer = client.post("/dead-letters/redrive", {"topic": "typo", "reason": "typo"})
    assert answer.status == 422
    topic, reason = answer.json["detail"]
    assert (topic["loc"], reason["loc"]) == (["body", "topic"], ["body", "reason"])
    there_are = "calls, scorers, score-requests, controls, score-events, dead-letters, weave"
    assert topic["msg"].endswith(f"there is no topic 'typo'; there are: {there_are}")
    assert "'undecodable', 'unknown_version', 'call_rewritten' or 'call_too_large'" in reason["msg"]


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


BATCHES = ["/v2/acme/flow/calls/complete", "/call/upsert_batch"]


@pytest.mark.parametrize("path", BATCHES)
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


@pytest.mark.parametrize("field", ["project_id", "call_id"])
@pytest.mark.parametrize("bad_id", BAD_IDS)
def test_a_trial_with_an_id_that_is_no_text_in_utf_8_is_refused(client: Client, field: str, bad_id: bytes) -> None:
    ids = {b"project_id": b'"p"', b"call_id": b'"c"', field.encode(): bad_id}
    trial = b", ".join(b'"%s": %s' % item for item in ids.items())
    answer = client.post("/scorers/try", b'{"scorer_ref": "callscore:///scorer/x:latest", ' + trial + b"}")
    [detail] = answer.json["detail"]
    assert (answer.status, detail["loc"], detail["type"]) == (422, ["body", field], "invalid_id")


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


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "application/x+json"])
def test_calls_are_taken_from_all_that_says_that_it_is_json(client: Client, content_type: str) -> None:
    answer = client.post("/v2/acme/flow/calls/complete", {"batch": [{}]}, Content_Type=content_type)
    assert "batch[0].id: Field required" in answer.json["reason"]


@pytest.mark.parametrize("more", [{}, {"kind": "contains"}, {"scorer_ref": "s", "params": {"text": "x"}}])
def test_a_trial_of_no_scorer_or_of_a_published_one_with_other_parameters_is_refused(
    client: Client, more: dict[str, object]
) -> None:
    body = {"project_id": "a", "call_id": "c", **more}
    answer = client.post("/scorers/try", body | ({"scorer_ref": "s"} if "kind" in more else {}))
    assert answer.status == 422
    assert "Name either scorer_ref, or kind and params" in answer.json["detail"][0]["msg"]


def test_a_body_over_the_limit_is_413(client: Client) -> None:
    answer = client.post("/calls/score", b" " * (32 * 1024**2 + 1))
    assert (answer.status, answer.json["detail"][0]["type"]) == (413, "body_too_large")


def test_a_form_of_too_many_fields_is_413_and_says_so(client: Client) -> None:
    fields = b"".join(b'--x\r\nContent-Disposition: form-data; name="%d"\r\n\r\n1\r\n' % n for n in range(1_001))
    answer = client.post("/file/create", fields + b"--x--\r\n", Content_Type="multipart/form-data; boundary=x")
    assert (answer.status, answer.json) == (413, {"reason": "Maximum number of form fields 1000 exceeded."})


_TO_US = b" HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /" + b"a" * 9_000 + _TO_US + b"\r\n",
        b"GET /" + _TO_US + b"X: " + b"a" * 9_000 + b"\r\n\r\n",
        b"GET /\xff" + _TO_US + b"\r\n",
        b"FOO /" + _TO_US + b"\r\n",
        b"POST /calls/score" + _TO_US + b"Transfer-Encoding: chunked\r\n\r\nz\r\n",
    ],
    ids=["long-url", "long-header", "byte-in-url", "unknown-method", "no-chunk-size"],
)
async def test_what_is_not_valid_http_is_400_and_fills_no_log(sent: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with TestServer(create_app(Registry.load())) as server:
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(sent)
        answer = await reader.read()
        writer.close()
    assert answer.startswith(b"HTTP/1.0 400 ")
    assert caplog.records == []


def paths_that_take_a_body() -> list[str]:
    taking = (route for route in ROUTES if isinstance(route, web.RouteDef) and route.method == "POST")
    return [re.sub(r"\{\w+\}", "x", route.path) for route in taking if route.path not in _BODILESS]


_GZIP_HEADER = gzip.compress(b"{}")[:10]
_BODILESS = (
    "/score-requests/{request_id}/cancel",
    "/breakers/{scorer}/close",
    "/rules/{rule_id}/pause",
    "/rules/{rule_id}/resume",
    "/rules/{rule_id}/remove",
)


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


@pytest.mark.parametrize("token", ["", "x" * 513])
def test_a_rescore_token_that_cannot_be_an_id_is_422(client: Client, token: str) -> None:
    body = {"project_id": "a", "call_ids": [], "scorer_refs": []}
    answer = client.post("/calls/score", body, Callscore_Rescore=token)
    assert (answer.status, answer.json["detail"][0]["loc"]) == (422, ["header", "Callscore-Rescore"])


def test_without_a_log_a_submission_is_503_with_the_time_to_come_back(client: Client) -> None:
    body = {"project_id": "a", "call_ids": ["c"], "scorer_refs": ["callscore:///scorer/not_empty:latest"]}
    answer = client.post("/calls/score", body)
    assert answer.status == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.json["detail"][0]["type"] == "unavailable"


@pytest.mark.parametrize("path", ["/", "/healthz", "/openapi.json", "/nothing/here", "/call/read"])
def test_no_answer_tells_the_versions_of_python_and_aiohttp(client: Client, path: str) -> None:
    assert "Server" not in client.get(path).headers


def test_a_500_tells_nothing_of_the_inside(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    async def fail(request: web.Request) -> web.Response:
        raise RuntimeError("secret")

    monkeypatch.setattr("app.web.server.ROUTES", (web.get("/fails", fail), web.get("/healthz", health.healthz)))
    with running() as client:
        answer = client.get("/fails")
        assert answer.status == 500
        assert answer.json == {"detail": [{"loc": [], "msg": "Internal Server Error", "type": "internal_error"}]}
        assert "RuntimeError: secret" in caplog.text
        assert client.get("/healthz").status == 200


async def test_a_client_that_goes_away_is_counted_apart_and_is_no_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    began, gone, noticed = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        began.set()
        await gone.wait()
        try:
            while True:
                await response.write(b"x")
        finally:
            noticed.set()

    monkeypatch.setattr("app.web.server.ROUTES", (web.get("/stream", stream), web.get("/metrics", metrics.metrics)))
    async with TestClient(TestServer(create_app(Registry.load()))) as client:
        asked = asyncio.create_task(client.get("/stream"))
        await began.wait()
        (await asked).close()
        gone.set()
        await noticed.wait()
        counted = await (await client.get("/metrics")).text()
    assert re.findall(r'requests_total\{method="GET",route="/stream",status="(\d+)"', counted) == ["499"]
    assert caplog.records == []


def test_a_backup_that_cannot_be_made_says_why(client: Client) -> None:
    answer = client.post("/internal/backup", {})
    assert answer.status == 503
    assert "is closed" in answer.json["detail"][0]["msg"]  # without a worker


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_page_asks_only_for_what_is_served(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status == 200
    page = answer.raw.decode()
    files = set(re.findall(r"""(?:src|href)="(/dashboard/[^"]*)\"""", page))
    while files:  # and those that they load, before they ask for anything
        file = files.pop()
        answer = client.get(file)
        assert answer.status == 200, file
        text = answer.raw.decode()
        files |= {f"/dashboard/{name}" for name in re.findall(r"""from "\./([^"]*)\"""", text)}
        page += text
    assert not re.search(r"""src="(?!/dashboard/)""", page)
    assert "url(" not in page
    paths = (route.path for route in ROUTES if isinstance(route, web.RouteDef) and route.method == "GET")
    served = {re.sub(r"\{.*\}", "{}", path) for path in paths}
    named = set(re.findall(r"""[(="`](/[a-z.-]*(?:/[a-z]+|/\$\{[^}]*\}(?:/tasks|/calls)?)?)[?"`]""", page))
    assert {re.sub(r"\$\{.*\}", "{}", name) for name in named} - served == set()
    assert len(named) >= 1


def test_every_path_of_the_description_is_served_and_every_route_is_described() -> None:
    served = {(route.method.lower(), route.path) for route in ROUTES if isinstance(route, web.RouteDef)}
    described = {(method, path) for path, item in PATHS.items() for method in item if method in ("get", "post")}
    assert served == described


def test_metrics_say_whether_the_worker_is_ready(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\ncallscore_ready 0.0\n" in client.get("/metrics").raw.decode()  # without a worker
    monkeypatch.setattr("app.cluster.check_ready", lambda: None)
    assert "\ncallscore_ready 1.0\n" in client.get("/metrics").raw.decode()


async def test_weaves_link_to_a_call_leads_to_its_panel_on_the_dashboard() -> None:
    link = make_mocked_request("GET", "/", match_info={"entity": "acme", "project": "a b", "call_id": "c/1&ä"})
    with pytest.raises(web.HTTPFound) as found:
        await pages.weave_call(link)
    assert found.value.headers["Location"] == "/#call=acme/a%20b/c%2F1%26%C3%A4"


def test_a_redirect_is_counted_as_what_it_is(client: Client) -> None:
    assert client.get("/acme/flow/weave").status == 200  # of the page that it leads to
    total = r'requests_total\{method="GET",route="/\{entity\}/\{project\}/weave",status="(\d+)"'
    assert re.findall(total, client.get("/metrics").raw.decode()) == ["302"]


def test_turns_of_the_event_loop_are_short_while_requests_come_in(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slices, "_hurry_until", 0.0)
    monkeypatch.setattr(slices, "HURRY_SECONDS", 60.0)
    assert slices.pace() is slices.PATIENT
    assert client.get("/nothing/here").status == 404
    assert slices.pace() is slices.HURRIED
