"""Whatever an event is made of can be read again, or is refused while its maker can still say so."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from app.events import (
    MOST_IN_CHUNK,
    Error,
    OfTask,
    ProviderAsked,
    ScoreEvents,
    ScoreFailed,
    ScoreSucceeded,
    Target,
    decode_score_events,
)
from app.providers import Provider
from app.scorers import ScorerError
from app.settings import Settings
from app.usage import Usage

texts = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20)
numbers = st.integers(0, 2**31 - 1)
places = st.integers(0, MOST_IN_CHUNK - 1)
amounts = st.integers(0, 2**62)
spent = st.none() | st.builds(Usage, requests=amounts, input_tokens=amounts, cost=amounts, unanswered=amounts)
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
        "spent": spent,
        "day": st.none() | amounts,
    }
)
TASK: dict[str, Any] = {"project_id": "p", "call_id": "c", "scorer_ref": "s", "targets": [], "at": 1.0}


def read_again(*events: OfTask) -> list[Any]:
    return list(decode_score_events(ScoreEvents.join(event.encode() for event in events)).events)


@given(facts, json, st.none() | texts, st.dictionaries(texts, json, max_size=3), texts)
def test_what_is_written_is_what_is_read(
    facts: dict[str, Any], output: Any, op_name: str | None, lineage: dict[str, Any], text: str
) -> None:
    succeeded = ScoreSucceeded(**facts, output=output, op_name=op_name, lineage=lineage)
    failed = ScoreFailed(**facts, error=Error(type=text, message=text), op_name=op_name, lineage=lineage)
    assert read_again(succeeded, failed, ProviderAsked(**facts)) == [succeeded, failed, ProviderAsked(**facts)]


def test_an_output_that_is_json_already_is_written_as_it_is() -> None:
    [event] = read_again(ScoreSucceeded(**TASK, output=Raw(b'{"score": 1.50}')))
    assert event.output == {"score": 1.5}


def endless() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


@pytest.mark.parametrize(
    "odd", [object(), "\ud83d", endless(), {None: 1}], ids=["object", "surrogate", "endless", "key"]
)
def test_what_is_not_json_is_refused_when_it_is_written(odd: Any) -> None:
    with pytest.raises(TypeError):
        ScoreSucceeded(**TASK, output=1, lineage={"odd": odd}).encode()


def test_an_error_that_is_no_text_is_refused_when_it_is_made() -> None:
    with pytest.raises(TypeError, match="no text"):
        Error(type="t", message=5)  # type: ignore[arg-type]


@given(st.text(max_size=3000))
def test_any_text_of_an_error_fits(text: str) -> None:
    event = ScoreFailed(**TASK, error=Error(type=text, message=text * 3, traceback=text * 3, raw=text))
    assert read_again(event) == [event]
    assert len(event.error.message) <= 1010


def test_no_error_keeps_a_key_of_a_provider_whoever_repeated_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_KEY", "sk-0123456789")
    monkeypatch.setenv("GATEWAY", "Basic 0123456789ab")
    monkeypatch.setenv("VERSION", "2024")
    headers = {"gateway": "GATEWAY", "version": "VERSION"}
    settings = Settings(providers={"local": Provider(base_url="http://judge/v1", key="LOCAL_KEY", headers=headers)})
    monkeypatch.setattr("app.events.get_settings", lambda: settings)
    answer = "in 2024 with sk-0123456789 and 0123456789ab"
    failed = ScorerError(f"refused {answer}")
    assert Error.of(failed).raw is None
    failed.traceback, failed.raw = f"Traceback {answer}", answer
    error = Error.of(failed)
    shown = "in 2024 with … and …"
    assert (error.message, error.traceback, error.raw) == (f"refused {shown}", f"Traceback {shown}", shown)
