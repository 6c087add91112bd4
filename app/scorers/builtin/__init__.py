"""The scorers that come with callscore: thin layers on libraries, of bounded cost."""

from app.scorers.builtin.contains import Contains
from app.scorers.builtin.exact_match import ExactMatch
from app.scorers.builtin.json_schema import JsonSchema
from app.scorers.builtin.length import Length
from app.scorers.builtin.not_empty import NotEmpty
from app.scorers.builtin.refusal import Refusal
from app.scorers.builtin.regex import Regex
from app.scorers.builtin.similarity import Similarity
from app.scorers.builtin.valid_json import ValidJson

__all__ = [
    "Contains",
    "ExactMatch",
    "JsonSchema",
    "Length",
    "NotEmpty",
    "Refusal",
    "Regex",
    "Similarity",
    "ValidJson",
]
