"""Weave's files, feedback and queries of calls: what is accepted is there, what is not known here is refused."""

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.service import Answer, Service

PROJECT = "acme/paths"
CALLS = 5


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with scored calls; each is of an op of its own but the last, which has that of the first."""
    folder = tmp_path_factory.mktemp("weave")
    service = Service(folder / "data", partitions=2)
    service.log_path = folder / "service.log"
    try:
        service.start()
        calls = [
            {
                "id": f"call-{n}",
                "trace_id": f"trace-{n // 2}",
                "parent_id": f"call-{n - 1}" if n % 2 else None,
                "op_name": f"weave:///{PROJECT}/op/op-{n % (CALLS - 1)}:v{n}",
                "started_at": f"2026-01-0{CALLS - n}T00:00:00Z",
                "ended_at": f"2026-01-0{CALLS - n}T00:00:01.5Z",
                "inputs": {"n": n},
                "output": f"output {n}",
            }
            for n in range(CALLS)
        ]
        service.log_calls(PROJECT, calls)
        refs = service.refs("not_empty")
        service.wait_finished(service.submit(PROJECT, ["call-0", "call-1"], refs))
        yield service
    finally:
        service.kill()


def lines(answer: Answer) -> list[Any]:
    assert answer.status == 200, answer.raw
    return [json.loads(line) for line in answer.raw.splitlines()]


def of_field(field: str, value: Any) -> dict[str, Any]:
    return {"$expr": {"$eq": [{"$getField": field}, {"$literal": value}]}}


def ids(service: Service, **query: Any) -> list[str]:
    found = lines(service.post("/calls/stream_query", {"project_id": PROJECT, **query}))
    counted = service.post("/calls/query_stats", {"project_id": PROJECT, **query})
    assert counted.json == {"count": len(found)}
    return [call["id"] for call in found]


def test_calls_come_by_id_or_sorted_and_in_windows(filled: Service) -> None:
    everything = [f"call-{n}" for n in range(CALLS)]
    assert ids(filled) == everything
    assert ids(filled, limit=2, offset=1) == everything[1:3]
    assert ids(filled, limit=0) == []
    assert ids(filled, offset=CALLS) == []
    assert ids(filled, sort_by=[{"field": "started_at", "direction": "asc"}]) == everything[::-1]
    assert ids(filled, sort_by=[{"field": "started_at", "direction": "asc"}], limit=1) == everything[-1:]
    assert ids(filled, sort_by=[{"field": "inputs.n", "direction": "desc"}], limit=2, offset=1) == everything[-2:-4:-1]


@pytest.mark.parametrize(
    ("filter", "numbers"),
    [
        ({"call_ids": ["call-3", "call-1", "nowhere", "call-3"]}, [3, 1]),
        ({"call_ids": []}, []),
        ({"op_names": [f"weave:///{PROJECT}/op/op-1:v1"]}, [1]),
        ({"op_names": [f"weave:///{PROJECT}/op/op-0:*"]}, [0, 4]),
        ({"trace_ids": ["trace-1"]}, [2, 3]),
        ({"parent_ids": ["call-0", "call-2"]}, [1, 3]),
        ({"trace_roots_only": True}, [0, 2, 4]),
        ({"trace_roots_only": True, "op_names": [f"weave:///{PROJECT}/op/op-2:v2"]}, [2]),
        ({"trace_roots_only": False, "input_refs": None, "op_names": None}, [0, 1, 2, 3, 4]),
    ],
)
def test_a_filter_leaves_what_it_is_true_of(filled: Service, filter: dict[str, Any], numbers: list[int]) -> None:
    assert ids(filled, filter=filter) == [f"call-{n}" for n in numbers]


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ({"filter": {"input_refs": ["weave:///acme/paths/object/x:y"]}}, "filter.input_refs is not known here"),
        ({"query": {"$expr": {"$regex": [1]}}}, "query: the operator '$regex' is not known here"),
        ({"query": {"$expr": {"$eq": [1]}}}, "query: $eq takes a list of two"),
        ({"sort_by": [{"field": "feedback.[wandb.note.1].payload"}]}, "sort_by: calls cannot be sorted by feedback"),
        ({"include_costs": True}, "include_costs: neither costs nor sizes are known here"),
        (
            {"query": of_field("inputs.model.name", "x"), "expand_columns": ["inputs.model"]},
            "expand_columns: inputs.model.name lies behind a ref, where no call can be asked for it",
        ),
        (
            {"query": of_field("feedback.[wandb.runnable.callscore:///scorer/x:latest].payload.output", 1)},
            "query: feedback.[wandb.runnable.callscore:///scorer/x:latest].payload.output needs the digest of the "
            "version, or the scorer's name alone",
        ),
    ],
)
def test_what_is_not_known_of_a_query_is_refused_and_not_passed_over(
    filled: Service, query: dict[str, Any], reason: str
) -> None:
    for path in ("/calls/stream_query", "/calls/query_stats"):
        answer = filled.post(path, {"project_id": PROJECT, **query})
        assert (answer.status, answer.json) == (400, {"reason": reason})


@pytest.mark.parametrize("query", [{}, {"$eq": [1, 1]}, {"$exp": {"$literal": True}}])
def test_a_query_without_an_expression_asks_for_nothing_and_not_for_everything(
    filled: Service, query: dict[str, Any]
) -> None:
    name = f"stays-{list(query)}"  # an id that was purged is given to nothing else
    filled.post("/feedback/create", feedback(name))
    for path in ("/calls/stream_query", "/calls/query_stats", "/feedback/query", "/feedback/purge"):
        answer = filled.post(path, {"project_id": PROJECT, "query": query})
        assert (answer.status, "query" in answer.json["reason"]) == (422, True)
    assert said(filled) == [name]
    assert filled.post("/feedback/purge", {"project_id": PROJECT, "query": of_field("id", name)}).status == 200


@pytest.mark.parametrize("window", [{"limit": -1}, {"offset": -1}])
def test_a_window_that_lies_nowhere_is_refused(filled: Service, window: dict[str, int]) -> None:
    for path in ("/calls/stream_query", "/calls/query_stats", "/feedback/query"):
        answer = filled.post(path, {"project_id": PROJECT, **window})
        assert (answer.status, next(iter(window)) in answer.json["reason"]) == (422, True)


def test_an_unknown_operator_is_refused_where_there_is_nothing_to_try_it_on(filled: Service) -> None:
    query = {"$expr": {"$and": [{"$eq": [{"$literal": 1}, {"$literal": 2}]}, {"$regex": []}]}}
    for path in ("/calls/stream_query", "/feedback/query", "/feedback/purge"):
        answer = filled.post(path, {"project_id": "acme/empty", "query": query})
        assert (answer.status, answer.json) == (400, {"reason": "query: the operator '$regex' is not known here"})


def test_a_query_that_ends_early_leaves_nothing_behind_and_complains_of_nothing(filled: Service) -> None:
    for _ in range(3):
        assert ids(filled, limit=1) == ["call-0"]
    assert filled.get("/healthz").status == 200
    assert "never retrieved" not in filled.log()
    assert "Traceback" not in filled.log()


def test_a_call_has_what_weaves_sdk_needs_of_it(filled: Service) -> None:
    [call] = lines(filled.post("/calls/stream_query", {"project_id": PROJECT, "filter": {"call_ids": ["call-1"]}}))
    assert call["summary"]["weave"] == {"status": "success", "trace_name": "op-1", "latency_ms": 1500}
    assert filled.post("/call/read", {"project_id": PROJECT, "id": "call-1"}).json == {"call": call}
    assert filled.post("/call/read", {"project_id": PROJECT, "id": "nowhere"}).json == {"call": None}


def test_scores_are_feedback_of_their_calls(filled: Service) -> None:
    asked = {"project_id": PROJECT, "include_feedback": True, "filter": {"call_ids": ["call-0", "call-2"]}}
    scored, other = lines(filled.post("/calls/stream_query", asked))
    [row] = scored["summary"]["weave"]["feedback"]
    assert other["summary"]["weave"]["feedback"] == []
    [score] = filled.items(f"/scores?project_id={PROJECT}&call_id=call-0")
    assert row["weave_ref"] == f"weave:///{PROJECT}/call/call-0"
    assert row["feedback_type"] == "wandb.runnable.not_empty"
    assert (row["payload"], row["runnable_ref"]) == ({"output": score["output"]}, score["scorer_ref"])
    assert row["created_at"] == score["scored_at"]
    of_call = filled.post("/feedback/query", {"project_id": PROJECT, "query": of_field("weave_ref", row["weave_ref"])})
    assert of_call.json == {"result": [row], "total_count": 1}
    for kind in ("not_empty", row["runnable_ref"]):  # as the SDK asks with scored_by
        scored = {"$expr": {"$not": [of_field(f"feedback.[wandb.runnable.{kind}].payload.output", "")["$expr"]]}}
        assert ids(filled, query=scored) == ["call-0", "call-1"]


def test_a_call_that_two_versions_of_a_scorer_have_scored_is_found_by_either(filled: Service) -> None:
    refs = [f"weave:///{PROJECT}/object/versions:{version}" for version in ("v1", "v2")]
    said = {"feedback_type": "wandb.runnable.versions", "weave_ref": f"weave:///{PROJECT}/call/call-2"}
    rows = [feedback(ref, **said, runnable_ref=ref, payload={"output": n == 2}) for n, ref in enumerate(refs)]
    assert filled.post("/feedback/batch/create", {"batch": rows}).status == 200
    for ref in refs:
        assert ids(filled, query=of_field("feedback.[wandb.runnable.versions].runnable_ref", ref)) == ["call-2"]
    output = of_field("feedback.[wandb.runnable.versions].payload.output", "")
    assert ids(filled, query={"$expr": {"$not": [output["$expr"]]}}) == ["call-2"]  # it is false, and that is an output
    assert filled.post("/feedback/purge", {"project_id": PROJECT, "query": {"$expr": {"$literal": True}}}).json == {}


def test_calls_are_found_by_their_time_in_unix_seconds(filled: Service) -> None:
    third = {"$gte": [{"$getField": "started_at"}, {"$literal": 1767398400}]}
    assert ids(filled, query={"$expr": third}, expand_columns=["inputs.model"]) == ["call-0", "call-1", "call-2"]
    assert ids(filled, query={"$expr": {"$not": [third]}}, include_costs=False) == ["call-3", "call-4"]


def feedback(id: str, **fields: Any) -> dict[str, Any]:
    ref = f"weave:///{PROJECT}/call/call-4"
    said = {"project_id": PROJECT, "weave_ref": ref, "feedback_type": "wandb.note.1", "payload": {"note": id}}
    return {**said, "id": id, "annotation_ref": None, "creator": None, **fields}


def said(service: Service, **query: Any) -> list[str]:
    query.setdefault("query", of_field("weave_ref", f"weave:///{PROJECT}/call/call-4"))
    return [row["id"] for row in service.post("/feedback/query", {"project_id": PROJECT, **query}).json["result"]]


def test_feedback_is_kept_once_and_can_be_taken_back_for_good(filled: Service) -> None:
    made = filled.post("/feedback/batch/create", {"batch": [feedback("a"), feedback("b"), feedback("c", more=[1])]})
    assert [one["id"] for one in made.json["res"]] == ["a", "b", "c"]
    assert made.json["res"][0].keys() == {"id", "created_at", "wb_user_id", "payload"}
    assert filled.post("/feedback/create", feedback("a", payload={"note": "other"})).status == 200
    assert said(filled) == ["a", "b", "c"]
    assert said(filled, query=of_field("payload.note", "a")) == ["a"]
    assert said(filled, query=None, sort_by=[{"field": "id", "direction": "desc"}], limit=1, offset=1) == [
        sorted(said(filled, query=None))[-2]
    ]

    purge = {"project_id": PROJECT, "query": of_field("id", "b")}
    assert filled.post("/feedback/purge", purge).json == {}
    assert said(filled) == ["a", "c"]
    assert filled.post("/feedback/create", feedback("b")).status == 200  # as a client that got no answer sends it again
    assert said(filled) == ["a", "c"]
    filled.kill()
    filled.start()
    assert said(filled) == ["a", "c"]
    [kept] = filled.post("/feedback/query", {"project_id": PROJECT, "query": of_field("id", "c")}).json["result"]
    assert kept["more"] == [1]


def test_scores_cannot_be_purged(filled: Service) -> None:
    everything = {"$expr": {"$literal": True}}
    assert filled.post("/feedback/create", feedback("d")).status == 200
    assert filled.post("/feedback/purge", {"project_id": PROJECT, "query": everything}).status == 200
    left = filled.post("/feedback/query", {"project_id": PROJECT}).json["result"]
    assert {row["feedback_type"] for row in left} == {"wandb.runnable.not_empty"}


SCORED = {
    "feedback_type": "wandb.runnable.x",
    "runnable_ref": "weave:///a/b/object/x:z",
    "call_ref": "weave:///a/b/call/1",
    "payload": {"output": 1},
    "scorer_ratings": {"good": 0.5},
}


@pytest.mark.parametrize(
    ("wrong", "status", "reason"),
    [
        ({"payload": [1]}, 422, "payload"),
        ({"weave_ref": ""}, 422, "weave_ref"),
        ({"runnable_ref": "weave:///a/b/op/x:y"}, 400, "are for feedback of a type"),
        ({"feedback_type": "wandb.runnable.x"}, 400, "needs a runnable_ref to what is named 'x'"),
        ({"feedback_type": "wandb.runnable.x", "runnable_ref": "weave:///a/b/op/y:z"}, 400, "needs a runnable_ref"),
        ({"feedback_type": "wandb.runnable.x", "runnable_ref": "weave:///a/b/op/x:z"}, 400, "needs an output"),
        (SCORED | {"runnable_ref": "weave:///a/b/op/x:z", "call_ref": None}, 400, "feedback of an op needs a call_ref"),
        (SCORED | {"call_ref": "weave:///a/b/op/x:z"}, 400, "call_ref must be the ref of a call"),
        ({"scorer_ratings": {"good": 0.5}}, 400, "scorer_ratings is for feedback of a type wandb.runnable"),
        ({"payload": {"note": "x" * 1024**2}}, 413, "at most 1 MiB"),
    ],
)
def test_feedback_that_weave_would_refuse_is_refused_with_all_of_its_batch(
    filled: Service, wrong: dict[str, Any], status: int, reason: str
) -> None:
    before = said(filled)
    answer = filled.post("/feedback/batch/create", {"batch": [feedback("fine"), feedback("wrong", **wrong)]})
    assert answer.status == status, answer.raw
    assert reason in answer.json["reason"]
    assert said(filled) == before


def test_feedback_with_what_utf_8_or_json_cannot_hold_is_kept_as_calls_with_it_are(filled: Service) -> None:
    odd = {"note": "\ud83d", "\ud83d": ["\ud83d\ude00", float("nan"), float("inf"), 2**64]}
    kept = {"note": "\ufffd", "\ufffd": ["\U0001f600", None, None, float(2**64)]}
    assert filled.post("/feedback/create", feedback("\ud83d")).status == 422  # two ids must not become one
    numbers = feedback("odd number", payload={"a": float("nan"), "b": 10**29})
    made = filled.post("/feedback/batch/create", {"batch": [feedback("odd", payload=odd, creator="\udfff"), numbers]})
    assert [one["payload"] for one in made.json["res"]] == [kept, {"a": None, "b": 1e29}]
    asked = {"project_id": PROJECT, "query": of_field("id", "odd")}
    [row] = filled.post("/feedback/query", asked).json["result"]
    assert (row["payload"], row["creator"]) == (kept, "\ufffd")
    for odd_id in ("odd", "odd number"):
        asked = {"project_id": PROJECT, "query": of_field("id", odd_id)}
        assert filled.post("/feedback/purge", asked).status == 200


def test_a_batch_of_feedback_that_is_too_long_and_a_ref_that_is_no_text_are_refused(filled: Service) -> None:
    answer = filled.post("/feedback/batch/create", {"batch": [feedback(str(n)) for n in range(1_001)]})
    assert (answer.status, "more than 1000" in answer.json["reason"]) == (413, True)
    assert said(filled) == []
    no_text = json.dumps({"project_id": PROJECT, "query": of_field("weave_ref", "\ud800")}).encode()
    assert filled.post("/feedback/query", no_text).status == 422


def test_a_call_whose_id_is_as_long_as_may_be_has_feedback_and_scores(filled: Service) -> None:
    project, call_id = f"acme/{'p' * 507}", "c" * 512
    filled.log_calls(project, [{"id": call_id, "output": "x"}])
    filled.wait_finished(filled.submit(project, [call_id], filled.refs("not_empty")))
    ref = f"weave:///{project}/call/{call_id}"
    assert filled.post("/feedback/create", feedback("note", project_id=project, weave_ref=ref)).status == 200
    found = filled.post("/feedback/query", {"project_id": project, "query": of_field("weave_ref", ref)}).json["result"]
    assert {row["feedback_type"] for row in found} == {"wandb.note.1", "wandb.runnable.not_empty"}
    too_long = filled.post("/feedback/create", feedback("x", project_id=project, weave_ref=f"{ref}c"))
    assert (too_long.status, "at most 1039 bytes" in too_long.json["reason"]) == (422, True)


def test_among_any_number_of_feedbacks_those_that_are_asked_for_are_found_and_purged(filled: Service) -> None:
    project, thousand = "acme/much", range(1_000)
    for batch in range(10):
        rows = [feedback(f"{batch}-{n}", project_id=project, payload={"batch": batch}) for n in thousand]
        assert filled.post("/feedback/batch/create", {"batch": rows}).status == 200
    assert filled.post("/feedback/create", feedback("last", project_id=project)).status == 200

    def asked(**query: Any) -> Answer:
        return filled.post("/feedback/query", {"project_id": project, **query})

    one = asked(query=of_field("id", "7-7")).json
    assert ([row["payload"] for row in one["result"]], one["total_count"]) == ([{"batch": 7}], 1)
    oldest = asked(sort_by=[{"field": "created_at", "direction": "asc"}], limit=100, offset=950).json
    assert [row["payload"]["batch"] for row in oldest["result"]] == [0] * 50 + [1] * 50
    assert oldest["total_count"] == 10_001
    newest = asked(sort_by=[{"field": "created_at", "direction": "desc"}], limit=1).json
    assert [row["id"] for row in newest["result"]] == ["last"]
    assert (asked().status, "more than 10000 items" in asked().json["reason"]) == (400, True)
    assert filled.post("/feedback/purge", {"project_id": project, "query": of_field("id", "last")}).json == {}
    assert asked(limit=0).json == {"result": [], "total_count": 10_000}
    assert asked(query=of_field("payload.batch", 3)).json["total_count"] == 1_000


def test_an_object_says_which_of_its_versions_it_is(filled: Service) -> None:
    def published(val: Any, object_id: str = "versioned") -> str:
        obj = {"project_id": PROJECT, "object_id": object_id, "val": val}
        return str(filled.post("/obj/create", {"obj": obj}).json["digest"])

    def described(digest: str, object_id: str = "versioned") -> list[Any]:
        asked = {"project_id": PROJECT, "object_id": object_id, "digest": digest}
        found = filled.post("/obj/read", asked).json["obj"]
        return [found[name] for name in ("digest", "version_index", "is_latest", "kind")]

    def base(name: str, *bases: str) -> Any:
        val = {"_type": name, "_class_name": name, "_bases": bases}
        asked = {"project_id": PROJECT, "object_id": name, "digest": published(val, name)}
        return filled.post("/obj/read", asked).json["obj"]["base_object_class"]

    digests = [published({"n": n}) for n in range(3)]
    published({"n": 1}, "versioned2")
    assert [described(digest) for digest in digests] == [
        [digests[0], 0, 0, "object"],
        [digests[1], 1, 0, "object"],
        [digests[2], 2, 1, "object"],
    ]
    assert [described(f"v{n}")[0] for n in range(3)] == digests
    assert filled.post("/obj/read", {"project_id": PROJECT, "object_id": "versioned", "digest": "v3"}).status == 404
    assert published({"n": 0}) == digests[0]  # again: it stays what it is, and is the latest
    assert described("latest") == described(digests[0]) == [digests[0], 0, 1, "object"]
    assert described(digests[2]) == [digests[2], 2, 0, "object"]
    op = published({"_type": "CustomWeaveType", "weave_type": {"type": "Op"}}, "an-op")
    assert described(op, "an-op") == [op, 0, 1, "op"]
    assert base("LengthScorer", "Scorer", "Object", "BaseModel") == "Scorer"
    assert base("Dataset", "Object", "BaseModel") == "Dataset"
    assert base("Other", "BaseModel") is None


def form(project: str, content: bytes, **fields: str) -> bytes:
    parts = [f'name="{name}"\r\n\r\n{value}'.encode() for name, value in {"project_id": project, **fields}.items()]
    parts.append(b'name="file"; filename="obj.py"\r\nContent-Type: text/x-python\r\n\r\n' + content)
    return b"".join(b"--x\r\nContent-Disposition: form-data; " + part + b"\r\n" for part in parts) + b"--x--\r\n"


@pytest.fixture
def send(filled: Service) -> Callable[[bytes], Answer]:
    return lambda body: filled.post("/file/create", body, **{"Content-Type": "multipart/form-data; boundary=x"})


def test_a_file_is_kept_under_its_digest(filled: Service, send: Callable[[bytes], Answer]) -> None:
    content = b"def score(): ...\n\x00\xff"
    digest = send(form(PROJECT, content)).json["digest"]
    encoded = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode()
    assert digest == encoded.rstrip("=").replace("-", "X").replace("_", "Y")
    assert send(form(PROJECT, content, expected_digest=digest)).json == {"digest": digest}
    assert send(form(PROJECT, content, expected_digest="other")).status == 409
    filled.kill()
    filled.start()
    found = filled.post("/file/content", {"project_id": PROJECT, "digest": digest})
    assert (found.status, found.raw) == (200, content)
    assert filled.post("/file/content", {"project_id": "acme/other", "digest": digest}).status == 404


def test_a_form_without_a_file_and_a_file_that_is_too_large_are_refused(send: Callable[[bytes], Answer]) -> None:
    assert send(form(PROJECT, b"x" * 1024**2)).status == 200
    too_large = send(form(PROJECT, b"x" * (1024**2 + 1)))
    assert (too_large.status, too_large.json) == (413, {"reason": "The file has more than 1048576 bytes"})
    nothing = send(b'--x\r\nContent-Disposition: form-data; name="project_id"\r\n\r\nacme/paths\r\n--x--\r\n')
    assert (nothing.status, nothing.json) == (422, {"reason": "the body must be a form with a file named 'file'"})
    assert send(form("", b"x")).status == 422
    assert send(b"no form at all").status == 422


def test_a_table_is_kept_by_its_rows_and_can_be_made_of_another(filled: Service) -> None:
    def posted(path: str, **asked: Any) -> Any:
        answer = filled.post(path, {"project_id": PROJECT, **asked})
        assert answer.status == 200, answer.raw
        return answer.json

    def rows(digest: str, **window: Any) -> list[Any]:
        return [row["val"] for row in posted("/table/query", digest=digest, **window)["rows"]]

    given: list[Any] = [{"n": n, "odd": "\ud83d", "\udfff": 2**70} for n in range(3)]
    made = posted("/table/create", table={"project_id": PROJECT, "rows": [*given, given[0]]})
    table, digests = made["digest"], made["row_digests"]
    assert hashlib.sha256("".join(digests).encode()).hexdigest() == table
    filled.kill()
    filled.start()
    assert rows(table) == [*given, given[0]]
    assert rows(table, limit=2, offset=1) == given[1:]
    assert rows(table, filter={"row_digests": digests[1:2]}) == [given[1]]
    assert posted("/table/query_stats", digest=table) == {"count": 4}
    again = posted("/table/create_from_digests", row_digests=digests[:2])
    assert rows(again["digest"]) == given[:2]

    updates = [{"pop": {"index": 0}}, {"insert": {"index": 0, "row": {"n": -1}}}, {"append": {"row": {"n": 9}}}]
    updated = posted("/table/update", base_digest=again["digest"], updates=updates)
    assert rows(updated["digest"]) == [{"n": -1}, given[1], {"n": 9}]
    assert updated["updated_row_digests"][0] == digests[0]

    ref = f"weave:///{PROJECT}/table/{table}"
    val = {"rows": ref, "deep/er": [{"x": 5}]}
    published = posted("/obj/create", obj={"project_id": PROJECT, "object_id": "set", "val": val})
    at = f"weave:///{PROJECT}/object/set:{published['digest']}"
    inside = [f"{at}/attr/rows/id/{digests[2]}", f"{at}/key/deep%2Fer/index/0/key/x", at]
    assert posted("/refs/read_batch", refs=[*inside, inside[1]])["vals"] == [given[2], 5, val, 5]


def test_refs_that_name_too_much_and_rows_that_are_other_files_are_refused(
    filled: Service, send: Callable[[bytes], Answer]
) -> None:
    def published(val: Any) -> str:
        obj = {"project_id": PROJECT, "object_id": "large", "val": val}
        return f"weave:///{PROJECT}/object/large:{filled.post('/obj/create', {'obj': obj}).json['digest']}"

    ref = published({"x": "x" * 100_000})
    answer = filled.post("/refs/read_batch", {"refs": [ref] * 600})
    assert (answer.status, len(answer.json["vals"])) == (200, 600)
    answer = filled.post("/refs/read_batch", {"refs": [ref] * 700})
    assert (answer.status, "more than 64 MiB" in answer.json["reason"]) == (400, True)

    for content in (b"def score(): ...", b"\xff", b"[" * 100_000):
        digest = send(form(PROJECT, content)).json["digest"]
        asked = {"project_id": PROJECT, "row_digests": [digest]}
        table = filled.post("/table/create_from_digests", asked).json["digest"]
        row = f"{published({'rows': f'weave:///{PROJECT}/table/{table}'})}/attr/rows/id/{digest}"
        for answer in (
            filled.post("/table/query", {"project_id": PROJECT, "digest": table}),
            filled.post("/refs/read_batch", {"refs": [row]}),
        ):
            assert (answer.status, answer.json) == (404, {"reason": f"Row {digest} not found"})


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/table/query", {"digest": "nothing"}, 404),
        ("/table/query", {"digest": "nothing", "sort_by": [{"field": "x"}]}, 422),
        ("/table/query", {"digest": "nothing", "filter": {"x": 1}}, 422),
        ("/table/query_stats", {"digest": "nothing"}, 404),
        ("/table/create", {"table": {"project_id": PROJECT, "rows": [1]}}, 422),
        ("/table/create", {"table": {"project_id": PROJECT, "rows": [{"x": "x" * 1024**2}]}}, 413),
        ("/table/create", {"table": {"project_id": PROJECT, "rows": [{}] * 24_386}}, 413),
        ("/table/create", {"table": {"project_id": PROJECT, "rows": [{}], "expected_digest": "x"}}, 409),
        ("/table/create_from_digests", {"row_digests": ["short"]}, 400),
        ("/table/update", {"base_digest": hashlib.sha256().hexdigest(), "updates": [{"pop": {"index": 0}}]}, 400),
        ("/refs/read_batch", {"refs": ["weave:///a/b/call/x"]}, 422),
        ("/refs/read_batch", {"refs": [f"weave:///{PROJECT}/object/nothing:x"]}, 404),
        ("/refs/read_batch", {"refs": [f"weave:///{PROJECT}/object/{chr(10)}:x"]}, 422),
    ],
)
def test_a_table_or_ref_that_cannot_be_served_is_refused(
    filled: Service, path: str, body: dict[str, Any], status: int
) -> None:
    empty = filled.post("/table/create", {"table": {"project_id": PROJECT, "rows": []}})
    assert empty.json == {"digest": hashlib.sha256().hexdigest(), "row_digests": []}
    answer = filled.post(path, {"project_id": PROJECT, **body})
    assert (answer.status, list(answer.json)) == (status, ["reason"])


@pytest.mark.parametrize("path", ["/calls/delete", "/call/update", "/cost/query", "/objs/query", "/v2/a/b/ops"])
def test_what_is_not_served_of_weave_says_so(filled: Service, path: str) -> None:
    answer = filled.post(path, {"project_id": PROJECT})
    assert (answer.status, f"does not serve {path} of Weave's" in answer.json["reason"]) == (404, True)


def test_the_links_that_the_sdk_prints_lead_to_the_call_and_to_the_dashboard(filled: Service) -> None:
    for link in (f"/{PROJECT}/r/call/call-1", f"/{PROJECT}/weave"):
        assert filled.get(link).raw == filled.get("/").raw
