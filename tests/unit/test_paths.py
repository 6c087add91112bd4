"""Every dotted path that a user writes is looked up by one rule."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.client.fields import Fields
from app.judges.prompt import at as in_call
from app.paths import ABSENT, at
from app.scorers.builtin import expected
from app.web.weave.expressions import at_path

VALUE: dict[str, Any] = {
    "attributes": {"tags": ["a", {"b": 1}], "model": {"name": "m"}, "model.name": "whole", "gold.answer": {"text": 2}},
    "inputs": {"question": "?", "user.name": "ann", "nothing": None},
    "output": ["x"],
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("attributes.tags.0", "a"),
        ("attributes.tags.1.b", 1),
        ("attributes.model.name", "whole"),
        ("inputs.user.name", "ann"),
        ("inputs.nothing", None),
        ("output", ["x"]),
        ("attributes.tags.2", ABSENT),
        ("attributes.tags.-1", ABSENT),
        ("attributes.tags." + "9" * 5_000, ABSENT),
        ("attributes.gold.answer.text", ABSENT),
        ("inputs.question.0", ABSENT),
        ("inputs.", ABSENT),
        ("", ABSENT),
    ],
)
def test_a_step_is_a_key_or_an_index_and_a_whole_key_wins(path: str, found: Any) -> None:
    assert at(VALUE, path) == found
    assert at_path(VALUE, path) == (None if found is ABSENT else found)


def test_prompts_and_imports_look_paths_up_by_the_same_rule() -> None:
    for path, found in (("attributes.tags.1.b", 1), ("attributes.model.name", "whole"), ("user.name", "ann")):
        assert in_call(path, VALUE, VALUE["inputs"]) == found
    fields = Fields(project="a/b", output="output.0", attributes=("attributes.model.name", "attributes.tags.1.b"))
    logged = orjson.loads(fields.call(orjson.dumps(VALUE)))
    assert (logged["output"], logged["attributes"]) == ("x", {"name": "whole", "b": 1})


json_values = st.recursive(
    st.integers(0, 3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "a.b", "0", ""]), inner),
    max_leaves=12,
)
dotted = st.lists(st.sampled_from(["a", "b", "0", "1", ""]), min_size=1, max_size=4).map(".".join)


@given(json_values, dotted)
def test_the_copy_of_the_rule_in_the_built_in_scorers_is_the_same(value: Any, path: str) -> None:
    theirs = expected._lookup(value, path)
    assert at(value, path) == (ABSENT if theirs is expected._ABSENT else theirs)
