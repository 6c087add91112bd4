"""`POST /calls/score` keeps the contract's word, on the real service."""

import json
from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.brokers import on_both_logs
from tests.service import STATES, Service

pytestmark = on_both_logs


def body(project: str, call_ids: list[str], refs: list[str]) -> dict[str, object]:
    return {"project_id": project, "call_ids": call_ids, "scorer_refs": refs}


def test_a_request_is_found_right_after_its_200_and_its_states_always_sum_up(shared: Service) -> None:
    refs = shared.refs("not_empty", "valid_json", "refusal")
    for number in range(30):
        request = shared.status(shared.submit("acme/at-once", [f"{number}-{n}" for n in range(10)], refs))
        assert request["tasks"]["total"] == 30
        assert sum(request["tasks"][state] for state in STATES) == 30


def test_duplicates_count_once_also_when_they_are_named_differently(shared: Service) -> None:
    (ref,) = shared.refs("not_empty")
    request = shared.status(shared.submit("acme/twice", ["a", "a", "b"], [ref, "callscore:///scorer/not_empty:latest"]))
    assert request["tasks"]["total"] == 2
    assert request["scorer_refs"] == [ref]


def test_empty_lists_make_a_request_that_is_complete_at_once(shared: Service) -> None:
    for call_ids, refs in (([], []), (["a"], []), ([], shared.refs("not_empty"))):
        request = shared.status(shared.submit("acme/empty", call_ids, refs))
        assert request["status"] == "completed"
        assert request["tasks"]["total"] == 0
        assert request["finished_at"] == request["requested_at"]


def test_a_ref_that_cannot_be_resolved_is_named_with_its_place_and_nothing_is_accepted(shared: Service) -> None:
    refs = [*shared.refs("not_empty"), "callscore:///scorer/nobody:latest", "not_empty", "weave:///a/b/object/X:1"]
    answer = shared.post("/calls/score", body("acme/unresolved", ["a"], refs))
    assert answer.status == 422
    found = [(item["loc"], item["type"]) for item in answer.json["detail"]]
    assert found == [(["body", "scorer_refs", place], "scorer_ref_not_found") for place in (1, 2, 3)]
    for item, ref in zip(answer.json["detail"], refs[1:], strict=True):
        assert ref in item["msg"]
    assert shared.items("/score-requests?project_id=acme/unresolved") == []


def test_a_hundred_thousand_calls_by_ten_scorers_are_accepted_in_one_post(make_service: Callable[..., Service]) -> None:
    service = make_service(call_wait=0).start()
    refs = []
    for number in range(10):
        published = {"name": f"s{number}", "kind": "contains", "params": {"text": str(number)}}
        refs.append(service.post("/scorers", published).json["ref"])
    sent = body("acme/large", [f"{number:036d}" for number in range(100_000)], refs)
    answer = service.post("/calls/score", sent, Prefer="return=representation")
    assert answer.status == 200
    assert answer.json["tasks"] == 1_000_000
    request = service.status(answer.json["request_id"])
    assert sum(request["tasks"][state] for state in STATES) == 1_000_000


texts = st.text(max_size=10)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts | st.just("\ud83d"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
known_refs = st.sampled_from(
    ["callscore:///scorer/not_empty:latest", "callscore:///scorer/x:y", "weave:///a/b/object/c:d"]
)
bodies = st.fixed_dictionaries(
    {
        "project_id": texts | values,
        "call_ids": st.lists(texts | st.just("\ud83d"), max_size=4) | values,
        "scorer_refs": st.lists(known_refs | texts, max_size=4) | values,
    },
    optional={"wb_user_id": values, "extra": values},
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bodies.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=30), texts)
def test_no_body_is_ever_a_500(shared: Service, sent: bytes, token: str) -> None:
    headers = {"Callscore-Rescore": token} if token.isascii() and token.isprintable() else {}
    answer = shared.post("/calls/score", sent, **headers)
    assert answer.status in (200, 422)
    if answer.status == 422:
        assert all(sorted(item) == ["loc", "msg", "type"] for item in answer.json["detail"])
