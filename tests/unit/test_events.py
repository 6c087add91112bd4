"""What is written without a model is what the model would write."""

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from app.events import MOST_IN_CHUNK, ProviderAsked, ScoreSucceeded, Target, provider_asked, score_succeeded
from app.spent import Spent

texts = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20)
numbers = st.integers(0, 2**31 - 1)
places = st.integers(0, MOST_IN_CHUNK - 1)
amounts = st.integers(0, 2**62)
spent = st.none() | st.builds(Spent, requests=amounts, input_tokens=amounts, cost=amounts, unanswered=amounts)
json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
facts = st.fixed_dictionaries(
    {
        "project_id": texts,
        "call_id": texts,
        "scorer_ref": texts,
        "occasion": texts,
        "round": numbers,
        "attempts": numbers,
        "targets": st.lists(st.builds(Target, texts, places, places, places, places), max_size=3),
        "parked": st.booleans(),
        "at": st.floats(0, 2**33),
        "earlier": spent,
    }
)


@given(facts, json, st.none() | texts, st.dictionaries(texts, json, max_size=3), spent, st.none() | amounts)
def test_a_success_is_written_as_its_model_would_be(
    facts: dict[str, Any],
    output: Any,
    op_name: str | None,
    lineage: dict[str, Any],
    spent: Spent | None,
    day: int | None,
) -> None:
    written = score_succeeded(facts, orjson.dumps(output), op_name, lineage, spent, day)
    model = ScoreSucceeded(**facts, output=output, op_name=op_name, lineage=lineage, spent=spent, day=day)
    assert ScoreSucceeded.model_validate_json(written) == model
    assert orjson.loads(written) == orjson.loads(model.encode())


@given(facts)
def test_that_somebody_is_asked_is_written_as_its_model_would_be(facts: dict[str, Any]) -> None:
    assert ProviderAsked.model_validate_json(provider_asked(facts)) == ProviderAsked(**facts)
