"""Calling a scorer, and its output as bytes: whatever the scorer does, only ScorerError is raised."""

from typing import Any

from app.scorers.base import ScorerFunction
from app.scorers.errors import RAISED_BY_SCORERS, InvalidOutput, ScorerError, ScorerRaised
from app.scorers.outputs import encode_output


def call_scorer(target: ScorerFunction, arguments: dict[str, Any]) -> bytes:
    """Score and encode. Raises ScorerError only."""
    try:
        output = target(**arguments)
    except RAISED_BY_SCORERS:
        raise
    except BaseException as error:
        raise ScorerRaised.of(error) from None
    return encode_checked(output)


def encode_checked(output: Any) -> bytes:
    """`encode_output`, where user code that runs during encoding may raise anything. Raises ScorerError only."""
    try:
        return encode_output(output)
    except ScorerError:
        raise
    except BaseException as error:
        raise InvalidOutput(f"The output could not be encoded as JSON: {type(error).__name__}.") from error
