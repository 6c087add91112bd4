"""The built-in scorers."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.scorers import BoundScorer, MissingInput, Registry, Runner

Bind = Callable[..., BoundScorer]

CATASTROPHIC = r"(a+)+$"
VICTIM = "a" * 10_000 + "!"


def score(bound: BoundScorer, output: Any, **call: Any) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(Runner().run_inline(bound, {"output": output, "inputs": {}, **call}))
    return found


def passed(bound: BoundScorer, output: Any, **call: Any) -> bool:
    verdict: bool = score(bound, output, **call)["passed"]
    return verdict


def test_contains(bind: Bind) -> None:
    assert passed(bind("contains", text="WORLD"), "hello world")
    assert not passed(bind("contains", text="WORLD", case_sensitive=True), "hello world")
    assert score(bind("contains", any_of=["x", "hello"]), "hello world") == {"passed": True, "found": ["hello"]}
    assert not passed(bind("contains", any_of=["x", "y"]), "hello world")
    assert passed(bind("contains", all_of=["hello", "world"]), "hello world")
    assert not passed(bind("contains", all_of=["hello", "x"]), "hello world")
    assert not passed(bind("contains", text="x", any_of=["hello"]), "hello world")


def test_regex(bind: Bind) -> None:
    assert score(bind("regex", pattern=r"\d+"), "order 66 é") == {"passed": True, "match": "66"}
    assert not passed(bind("regex", pattern=r"\d+", full_match=True), "order 66")
    assert passed(bind("regex", pattern=r"(?i)ORDER \d+", full_match=True), "order 66")


@pytest.mark.timeout(10)
def test_a_catastrophic_pattern_takes_linear_time(bind: Bind) -> None:
    schema = {"type": "array", "items": {"type": "string", "pattern": CATASTROPHIC}}
    for bound, output in [
        (bind("regex", pattern=CATASTROPHIC), VICTIM),
        (bind("json_schema", schema=schema), [VICTIM]),
        (bind("json_schema", schema={"patternProperties": {CATASTROPHIC: False}}), {VICTIM: 1}),
    ]:
        began = time.thread_time()
        score(bound, output)
        assert time.thread_time() - began < 0.5  # by backtracking it would take years


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("regex", {"pattern": "(a"}),
        ("regex", {"pattern": "(?=a)"}),
        ("regex", {"pattern": ""}),
        ("json_schema", {"schema": {"type": "strin"}}),
        ("json_schema", {"schema": {"pattern": "(a"}}),
        ("json_schema", {"schema": {"pattern": "(?=a)b"}}),
        ("json_schema", {"schema": {"$ref": "#/$defs/none"}}),
        ("json_schema", {"schema": {"const": 10**30}}),
        ("json_schema", {"schema": {"title": "x" * 70_000}}),
        ("contains", {}),
        ("contains", {"text": ""}),
        ("length", {}),
        ("length", {"min": 3, "max": 2}),
        ("length", {"min": -1}),
        ("exact_match", {}),
        ("exact_match", {"expected": "a", "expected_field": "b"}),
        ("similarity", {"expected": "a", "threshold": 2}),
    ],
)
def test_parameters_that_cannot_work_are_a_validation_error(registry: Registry, kind: str, params: Any) -> None:
    with pytest.raises(ValidationError):
        registry.kinds()[kind].validate(params)


def test_a_schema_reaches_no_other_document(registry: Registry, tmp_path: Path) -> None:
    document = tmp_path / "schema.json"
    document.write_text('{"type": "integer"}')
    for place in (document.as_uri(), "http://127.0.0.1:9/schema.json"):
        with pytest.raises(ValidationError, match="Retrieval is disabled"):
            registry.kinds()["json_schema"].validate({"schema": {"$ref": place}})


def test_exact_match(bind: Bind) -> None:
    assert passed(bind("exact_match", expected="four"), "four")
    assert not passed(bind("exact_match", expected="four"), "Four \n")
    assert passed(bind("exact_match", expected="four", ignore_case=True, strip=True), "Four \n")
    assert passed(bind("exact_match", expected=42), "42")
    assert passed(bind("exact_match", expected={"a": 1, "b": 2}), {"b": 2, "a": 1})
    assert not passed(bind("exact_match", expected=1), True)


@pytest.mark.parametrize("field", ["answer", "inputs.answer", "attributes.gold.0.text", "gold.0.text", "a.b"])
def test_the_expected_answer_comes_from_a_field_of_the_call(bind: Bind, field: str) -> None:
    bound = bind("exact_match", expected_field=field)
    call = {"inputs": {"answer": "four", "a.b": "four"}, "attributes": {"gold": [{"text": "four"}]}}
    assert passed(bound, "four", **call)
    assert not passed(bound, "five", **call)


@pytest.mark.parametrize("field", ["reply", "inputs.reply", "answer.x", "attributes.gold.1", "attributes.gold.-1"])
def test_a_call_without_the_expected_field_is_a_missing_input(bind: Bind, field: str) -> None:
    with pytest.raises(MissingInput, match="to compare with"):
        score(bind("exact_match", expected_field=field), "x", inputs={"answer": "four"}, attributes={"gold": ["a"]})


def test_similarity(bind: Bind) -> None:
    assert score(bind("similarity", expected="kitten"), "kitten") == {"score": 1.0}
    assert score(bind("similarity", expected="abcd", threshold=0.7), "abcx") == {"passed": True, "score": 0.75}
    assert not passed(bind("similarity", expected="abcd", threshold=0.8), "abcx")


@pytest.mark.parametrize(
    ("output", "expected", "score_"),
    [
        ("The answer is: FOUR!", "four", 1.0),
        ("👍", "👍", 1.0),
        ("👍", "👎", 0.0),
        ("??", "!", 0.0),
        ("no", "👎", 0.0),
        ("👍", "yes", 0.0),
        ("", "👎", 0.0),
        ("", "", 1.0),
    ],
)
def test_similarity_of_a_part_finds_nothing_in_common_where_nothing_is(
    bind: Bind, output: str, expected: str, score_: float
) -> None:
    assert score(bind("similarity", expected=expected, of="part"), output) == {"score": score_}


def test_length(bind: Bind) -> None:
    assert score(bind("length", min=2, max=4), "four") == {"passed": True, "length": 4}
    assert score(bind("length", max=3), "four") == {"passed": False, "length": 4}
    assert score(bind("length", min=3, unit="words"), " two words ") == {"passed": False, "length": 2}


def test_valid_json(bind: Bind) -> None:
    good: list[Any] = ['{"a": 1}', "[]", "null", {"content": "not JSON"}, [1], 3]
    for output in good:
        assert passed(bind("valid_json"), output)
    bad: list[Any] = [
        "{",
        "NaN",
        '```json\n{"a": 1}\n```',
        "",
        {"choices": [{"message": {"content": "{"}}]},
        "[" * 5_000,
    ]
    for output in bad:
        assert score(bind("valid_json"), output).keys() == {"passed", "error"}


def test_json_schema(bind: Bind) -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/count"}},
        "required": ["a"],
        "$defs": {"count": {"type": "integer"}},
    }
    bound = bind("json_schema", schema=schema)
    assert passed(bound, '{"a": 1}')
    assert passed(bound, {"a": 1})
    assert passed(bound, {"choices": [{"message": {"content": '{"a": 1}'}}]})
    assert score(bound, {"a": "x"}) == {"passed": False, "error": '$.a: "x" is not of type "integer"'}
    assert score(bound, "no")["error"].startswith("not JSON: ")
    assert bound.params == {"schema": schema}
    assert bound.inline_for({"output": {"a": 1}})


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/$defs/tree", "$defs": {"tree": {"items": {"$ref": "#/$defs/tree"}}}},
        {
            "$ref": "#/$defs/0",
            "$defs": {str(n): {"allOf": [{"$ref": f"#/$defs/{n + 1}"}] * 2} for n in range(20)} | {"20": {}},
        },
        {"pattern": "(.{1,30}){1,30}q"},
    ],
    ids=["recursive", "exponential", "large pattern"],
)
def test_a_schema_of_unbounded_cost_never_runs_on_the_event_loop(bind: Bind, schema: Any) -> None:
    assert not bind("json_schema", schema=schema).inline_for({"output": "1"})


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("kind", "params", "unit"),
    [
        ("contains", {"any_of": [f"x{n}" for n in range(100)]}, "Ü"),
        ("exact_match", {"expected": "Ü" * 10_000, "ignore_case": True}, "Ü"),
        ("json_schema", {"schema": {"items": {"allOf": [{"not": {"const": 2}}] * 150}}}, "1,"),
        ("json_schema", {"schema": {"pattern": r"(.{1,10}){1,5}q"}}, "xab01é漢"),
        ("length", {"max": 3, "unit": "words"}, "a "),
        ("not_empty", {}, " "),
        ("refusal", {}, "我"),
        ("regex", {"pattern": "(.{1,30}){1,30}q"}, "xab01é漢"),
        ("similarity", {"expected": "xy" * 999}, "yx"),
        ("valid_json", {}, '{"a":1},'),
    ],
)
def test_what_runs_inline_is_short(bind: Bind, kind: str, params: Any, unit: str) -> None:
    bound = bind(kind, **params)
    output = (unit * 100_000)[: bound.inline_up_to]
    if kind in ("valid_json", "json_schema"):
        output = f"[{output.rstrip(',')[: bound.inline_up_to - 4].rsplit(',', 1)[0]}]" if "," in unit else f'"{output}"'
    runner = Runner()
    times = []
    for _ in range(5):
        began = time.thread_time()
        runner.run_inline(bound, {"output": output, "inputs": {}})
        times.append(time.thread_time() - began)
    assert min(times) < 0.02


def test_refusal(bind: Bind) -> None:
    for output in (
        "I\u2019m sorry, but I can\u2019t help with that.",
        "Es tut mir leid, aber ich kann das nicht tun.",
        "抱歉，我无法提供这些信息。",
        {"choices": [{"message": {"content": "I cannot assist with that request."}}]},
    ):
        assert score(bind("refusal"), output).keys() == {"passed", "phrase"}
    for output in ("Here you are.", "x" * 400 + " I cannot assist with that."):
        assert score(bind("refusal"), output) == {"passed": True}


def test_not_empty(bind: Bind) -> None:
    some: list[Any] = ["x", 0, False, [0], {"a": None}]
    for output in some:
        assert passed(bind("not_empty"), output)
    none: list[Any] = ["", " \n", None, [], {}, {"text": " "}]
    for output in none:
        assert not passed(bind("not_empty"), output)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["text", "content", "choices", "message", "a"]), inner, max_size=3)
    ),
    max_leaves=10,
)


_PARAMS: dict[str, dict[str, Any]] = {
    "contains": {"text": "a"},
    "exact_match": {"expected": "a"},
    "json_schema": {"schema": {"type": "object"}},
    "length": {"min": 1},
    "not_empty": {},
    "refusal": {},
    "regex": {"pattern": "a"},
    "similarity": {"expected": "a"},
    "valid_json": {},
}


@given(output=_JSON)
def test_every_built_in_judges_every_output(bind: Bind, output: Any) -> None:
    for kind, params in _PARAMS.items():
        found = score(bind(kind, **params), output)
        assert isinstance(found.get("passed", True), bool)
        assert "passed" in found or "score" in found


async def test_a_small_built_in_runs_inline_without_a_started_runner(bind: Bind) -> None:
    runner = Runner()
    assert await runner.run(bind("not_empty"), {"output": "x"}) == b'{"passed":true}'
    assert asyncio.all_tasks() == {asyncio.current_task()}
