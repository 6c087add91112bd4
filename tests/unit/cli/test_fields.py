import orjson
import pytest

from app.client.errors import BadInput
from app.client.fields import BadLine, Fields


def call(fields: Fields, row: object) -> dict[str, object]:
    found: dict[str, object] = orjson.loads(fields.call(orjson.dumps(row)))
    return found


def test_the_same_line_gives_the_same_bytes() -> None:
    line = '{"question": "Größe? 😊", "output": {"b": 1, "a": [1.5, null]}, "model": "m"}'.encode()
    first = Fields("a/b", attributes=("model",)).call(line)
    assert Fields("a/b", attributes=("model",)).call(line) == first
    assert orjson.loads(first)["started_at"] == "1970-01-01T00:00:00Z"


def test_another_line_gives_another_id() -> None:
    fields = Fields("a/b")
    assert call(fields, {"output": 1})["id"] != call(fields, {"output": 2})["id"]


def test_inputs_are_by_default_all_that_no_other_option_names() -> None:
    fields = Fields("a/b", id="key", attributes=("model",), op_name_field="op", started_at="at")
    row = {"key": 7, "question": "q", "context": ["c"], "output": "o", "model": "m", "op": "answer", "at": 0}
    found = call(fields, row)
    assert found["id"] == "7"
    assert found["inputs"] == {"question": "q", "context": ["c"]}
    assert found["attributes"] == {"model": "m"}
    assert found["op_name"] == "answer"


def test_dotted_paths_reach_into_objects_and_lists_and_are_called_by_their_last_name() -> None:
    fields = Fields("a/b", inputs=("request.messages.0.content",), output="response.text", attributes=("meta.model",))
    row = {
        "request": {"messages": [{"content": "q"}]}, "response": {"text": "o"}, "meta": {"model": "m", "more": 1},
    }  # fmt: skip
    found = call(fields, row)
    assert (found["inputs"], found["output"], found["attributes"]) == ({"content": "q"}, "o", {"model": "m"})


def test_a_field_whose_name_has_dots_wins_over_a_path() -> None:
    assert call(Fields("a/b", output="a.b"), {"a.b": 1, "a": {"b": 2}, "q": 0})["output"] == 1


def test_the_output_is_not_among_the_inputs_when_it_lies_deeper() -> None:
    assert call(Fields("a/b", output="response.text"), {"q": 1, "response": {"text": "o"}})["inputs"] == {"q": 1}


def test_two_inputs_of_one_name_are_refused() -> None:
    with pytest.raises(BadInput, match="text"):
        Fields("a/b", inputs=("a.text", "b.text"))


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("2026-01-02T03:04:05+01:00", "2026-01-02T02:04:05.000000Z"),
        ("2026-01-02 03:04:05", "2026-01-02T03:04:05.000000Z"),
        (1767323045, "2026-01-02T03:04:05.000000Z"),
        (1767323045000, "2026-01-02T03:04:05.000000Z"),
    ],
)
def test_times_become_utc(given: object, wanted: str) -> None:
    found = call(Fields("a/b", started_at="at"), {"at": given, "output": 1})
    assert (found["started_at"], found["ended_at"]) == (wanted, wanted)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"{", "not valid JSON"),
        (b'{"output": NaN}', "not valid JSON"),
        (b'"text"', "not a JSON object"),
        ('{"output": "Größe"}'.encode("latin-1"), "^not UTF-8$"),
        ('{"output": 1}'.encode("utf-16"), "^not UTF-8$"),
        (b'{"id": "x", "when": 0}', "no field 'output'"),
        (b'{"output": 1, "when": 0}', "no field 'id'"),
        (b'{"id": "", "output": 1}', "must not be empty"),
        (b'{"id": "a\\u0000b", "output": 1}', "control characters"),
        (b'{"id": 1.5, "output": 1}', "neither a string nor an integer"),
        (b'{"id": "x", "output": 1, "when": "tomorrow"}', "neither RFC 3339"),
        (b'{"id": "x", "output": 1, "when": 1e300}', "neither RFC 3339"),
        (b'{"id": "x", "when": 0, "output": "' + b"y" * 1_048_576 + b'"}', "too large"),
    ],
)
def test_a_line_that_cannot_be_a_call_says_why(line: bytes, why: str) -> None:
    with pytest.raises(BadLine, match=why):
        Fields("a/b", id="id", started_at="when").call(line)


def test_a_missing_input_is_left_out_but_one_must_be_there() -> None:
    fields = Fields("a/b", inputs=("question", "context"))
    assert call(fields, {"question": "q", "output": 1})["inputs"] == {"question": "q"}
    with pytest.raises(BadLine, match="question, context"):
        fields.call(b'{"output": 1}')


@pytest.mark.parametrize(
    ("row", "output", "exception"),
    [
        ({"error": "Timeout"}, None, "Timeout"),
        ({"output": None, "error": {"code": 500}}, None, '{"code":500}'),
        ({"output": "o", "error": "late"}, "o", "late"),
        ({"output": "o", "error": False}, "o", None),
        ({"output": "o", "error": ""}, "o", None),
        ({"output": None, "error": None}, None, None),
        ({"output": "o"}, "o", None),
    ],
)
def test_a_call_that_failed_needs_no_output(row: dict[str, object], output: object, exception: str | None) -> None:
    found = call(Fields("a/b", exception="error"), {"question": "q", **row})
    assert (found["output"], found.get("exception")) == (output, exception)
    assert ("exception" in found, found["inputs"]) == (exception is not None, {"question": "q"})


def test_a_line_with_neither_output_nor_exception_is_no_call() -> None:
    with pytest.raises(BadLine, match=r"no field 'output' for the output, and no exception in 'error'"):
        Fields("a/b", exception="error").call(b'{"error": null}')
