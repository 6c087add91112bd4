"""Calls that come in on Weave's paths are kept, whatever lies beside them."""

from typing import Any

from tests.service import Service, complete_call


def logged(service: Service, project: str, *call_ids: str) -> list[Any]:
    """The project's calls, once those that were named have been applied."""
    service.wait_finished(service.submit(project, list(call_ids), service.refs("not_empty")))
    return service.items(f"/calls?project_id={project}")


def test_complete_calls_are_listed_as_they_were_logged(shared: Service) -> None:
    call = complete_call(
        "acme/whole", {"id": "1", "output": {"text": "é", "n": [1, None]}, "thread_id": None, "new": 1}
    )
    answer = shared.post("/v2/acme/whole/calls/complete", {"batch": [call]})
    assert (answer.status, answer.json) == (200, {})
    del call["thread_id"]
    assert logged(shared, "acme/whole", "1") == [call]


def test_start_and_end_make_one_call_in_either_order(shared: Service) -> None:
    place = {"project_id": "acme/parts"}
    start = place | {"id": "1", "trace_id": "t", "op_name": "answer", "inputs": {"q": 1}, "attributes": {}}
    end: dict[str, object] = place | {
        "id": "1",
        "output": "x",
        "summary": {},
        "exception": None,
        "ended_at": "2026-01-01T00:00:00Z",
    }
    parts = [
        {"mode": "end", "req": {"end": end | {"id": "2"}}},
        {"mode": "start", "req": {"start": start | {"id": "2"}}},
    ]
    answer = shared.post("/call/upsert_batch", {"batch": parts})
    assert answer.json == {"res": [{}, {"id": "2", "trace_id": "t"}]}
    assert shared.post("/v2/acme/parts/call/start", {"start": start}).json == {"id": "1", "trace_id": "t"}
    assert shared.post("/v2/acme/parts/call/end", {"end": end}).json == {}
    expected = {name: value for name, value in (start | end).items() if value is not None}
    assert logged(shared, "acme/parts", "1", "2") == [expected, expected | {"id": "2"}]


def test_a_start_without_a_trace_that_is_sent_twice_is_one_call_and_no_dead_letter(shared: Service) -> None:
    start = {"project_id": "acme/twice", "id": "1", "op_name": "answer"}
    batch = {"batch": [{"mode": "start", "req": {"start": start}}]}
    for _ in range(2):
        assert shared.post("/v2/acme/twice/call/start", {"start": start}).json == {"id": "1", "trace_id": "1"}
        assert shared.post("/call/upsert_batch", batch).json == {"res": [{"id": "1", "trace_id": "1"}]}
    shared.post("/v2/acme/twice/call/end", {"end": {"project_id": "acme/twice", "id": "1", "output": "x"}})
    assert logged(shared, "acme/twice", "1") == [start | {"trace_id": "1", "output": "x"}]
    assert shared.items("/dead-letters?project_id=acme/twice") == []
    made = shared.post("/v2/acme/twice/call/start", {"start": {"project_id": "acme/twice"}}).json
    assert made["id"] == made["trace_id"]


def test_a_call_over_the_limit_is_413_by_name_and_the_others_are_kept(shared: Service) -> None:
    calls = [complete_call("acme/big", {"id": name, "output": "x"}) for name in ("a", "huge", "b")]
    calls[1]["output"] = "x" * 1024**2
    answer = shared.post("/v2/acme/big/calls/complete", {"batch": calls})
    assert answer.status == 413
    assert "'huge'" in answer.json["reason"]
    assert [call["id"] for call in logged(shared, "acme/big", "a", "b")] == ["a", "b"]


def test_a_call_just_below_the_limit_is_kept(shared: Service) -> None:
    call = complete_call("acme/edge", {"id": "1", "output": "x" * (1024**2 - 400)})
    assert shared.post("/v2/acme/edge/calls/complete", {"batch": [call]}).status == 200
    assert logged(shared, "acme/edge", "1") == [call]


def test_half_an_emoji_does_not_reject_its_batch(shared: Service) -> None:
    raw = (
        b'{"batch":[{"project_id":"acme/emoji","id":"1","output":"\\ud83d","inputs":{"\\udc00":NaN,"big":'
        b"100000000000000000000000000}}]}"
    )
    assert shared.post("/v2/acme/emoji/calls/complete", raw).status == 200
    (call,) = logged(shared, "acme/emoji", "1")
    assert call["output"] == "\ufffd"
    assert call["inputs"] == {"\ufffd": None, "big": 1e26}


def test_calls_whose_ids_are_no_text_are_refused_each_and_do_not_become_one(shared: Service) -> None:
    call = b'{"project_id":"acme/halves","output":NaN,"id":'
    raw = b'{"batch":[' + b",".join(call + name + b"}" for name in (rb'"\ud800"', b'"a"', rb'"\udfff"')) + b"]}"
    answer = shared.post("/v2/acme/halves/calls/complete", raw)
    assert answer.status == 422
    no_text = "an id must be valid UTF-8"
    assert answer.json["reason"] == f"batch[0]: {no_text}; batch[2]: {no_text} (1 of 3 calls were kept)"
    assert [call["id"] for call in logged(shared, "acme/halves", "a")] == ["a"]


def test_a_call_with_a_number_beyond_all_floats_is_kept_beside_others(shared: Service) -> None:
    raw = (
        b'{"batch":[{"project_id":"acme/huge","id":"a","output":1e999},{"project_id":"acme/huge","id":"b","output":1}]}'
    )
    assert shared.post("/v2/acme/huge/calls/complete", raw).status == 200
    assert [call["output"] for call in logged(shared, "acme/huge", "a", "b")] == [None, 1]


def test_a_call_that_breaks_the_rules_is_422_and_the_others_are_kept(shared: Service) -> None:
    calls = [complete_call("acme/rules", {"id": name, "output": "x"}) for name in ("a", "b\n", "c")]
    answer = shared.post("/v2/acme/rules/calls/complete", {"batch": calls})
    assert answer.status == 422
    assert "batch[1]" in answer.json["reason"]
    assert [call["id"] for call in logged(shared, "acme/rules", "a", "c")] == ["a", "c"]


def test_a_call_of_another_project_is_400_and_nothing_is_kept(shared: Service) -> None:
    calls = [complete_call(project, {"id": "1", "output": "x"}) for project in ("acme/here", "acme/there")]
    answer = shared.post("/v2/acme/here/calls/complete", {"batch": calls})
    assert answer.status == 400
    shared.log_calls("acme/here", [complete_call("acme/here", {"id": "2", "output": "x"})])
    assert [call["id"] for call in logged(shared, "acme/here", "2")] == ["2"]
