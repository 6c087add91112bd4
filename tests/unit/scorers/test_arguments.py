"""From a call to the arguments of a scorer."""

from collections.abc import Callable
from typing import Any

import pytest

from app.scorers import MissingInput, Scorer
from app.scorers.arguments import Arguments

CALL = {
    "id": "c1",
    "inputs": {"question": "How many?", "self": "weave:///x", "output": "not this"},
    "output": "four",
    "attributes": {"env": "test"},
}
ONE_INPUT = CALL | {"inputs": {"prompt": "hi"}}


def arguments(function: Callable[..., Any], call: dict[str, Any] = CALL) -> dict[str, Any]:
    return Arguments.of(function).of_call(call)


def test_the_parts_of_the_call_and_then_its_inputs_go_by_name() -> None:
    def score(output: Any, inputs: Any, call: Any, attributes: Any, *, question: Any) -> None: ...

    assert arguments(score) == {
        "output": "four",
        "inputs": CALL["inputs"],
        "call": CALL,
        "attributes": {"env": "test"},
        "question": "How many?",
    }


def test_a_scorer_gets_only_what_it_asks_for() -> None:
    assert arguments(lambda output: None) == {"output": "four"}


def test_input_is_the_only_value_of_the_inputs_else_all_of_them() -> None:
    assert arguments(lambda input: None, ONE_INPUT) == {"input": "hi"}
    assert arguments(lambda input: None) == {"input": CALL["inputs"]}
    assert arguments(lambda input: None, CALL | {"inputs": {}}) == {"input": {}}


def test_a_missing_argument_takes_its_default() -> None:
    def score(output: Any, context: str = "none", question: str = "none") -> None: ...

    assert arguments(score) == {"output": "four", "question": "How many?"}


def test_a_missing_argument_without_default_is_a_missing_input() -> None:
    def score(output: Any, context: str, gold: str) -> None: ...

    with pytest.raises(MissingInput, match=r"needs 'context', 'gold', .* Its inputs: 'question'") as caught:
        arguments(score)
    assert caught.value.type == "missing_input"
    assert not caught.value.retryable


def test_a_call_without_output_is_a_missing_input() -> None:
    with pytest.raises(MissingInput, match="'output'"):
        arguments(lambda output: None, {"inputs": {}})


def test_the_rest_of_the_inputs_goes_where_a_signature_takes_it() -> None:
    def score(question: str, **rest: Any) -> None: ...

    assert arguments(score) == {"question": "How many?", "self": "weave:///x", "output": "not this"}


def test_an_input_called_self_does_not_clash_with_a_method() -> None:
    class Judge(Scorer):
        def score(self, *, output: Any, **rest: Any) -> dict[str, Any]:
            return rest

    judge = Judge()
    assert judge.score(**arguments(judge.score)) == {"question": "How many?"}


def test_an_argument_that_only_goes_by_position_is_refused_at_once() -> None:
    def score(output: Any, /) -> None: ...

    with pytest.raises(TypeError, match="'output' is positional-only"):
        Arguments.of(score)
