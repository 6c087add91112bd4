"""What to write instead of what is wrong with a scorer or a rule to publish: pydantic's errors as sentences."""

import json
from collections.abc import Collection, Mapping
from typing import Any

from pydantic import ValidationError

from app.web.errors import ApiError, detail

_SHOWN_CHARACTERS = 60
_OF_A_KEY = "[key]"  # the last part of pydantic's `loc`, if what is wrong is the name of a field, and not its value
_MOST_LISTED = 5_000
_WANTED = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dict_type": "a JSON object",
    "enum": "{expected}",
    "finite_number": "a finite number",
    "float_parsing": "a number",
    "float_type": "a number",
    "greater_than": "greater than {gt}",
    "greater_than_equal": "at least {ge}",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "list_type": "a JSON array",
    "literal_error": "{expected}",
    "model_attributes_type": "a JSON object",
    "model_type": "a JSON object",
    "string_pattern_mismatch": "a text that matches {pattern}",
    "string_too_long": "at most {max_length} characters long",
    "string_too_short": "at least {min_length} characters long",
    "string_type": "a text",
}

Known = Mapping[tuple[str, ...], Collection[str]]  # the fields there are, by the place of their object


def refused(error: ValidationError, *prefix: str | int, known: Known) -> ApiError:
    """422 with a sentence for every error of pydantic's, in FastAPI's shape, each `loc` behind `prefix`.

    Only their number, if there are more than 5,000.
    """
    if error.error_count() > _MOST_LISTED:
        message = f"There are {error.error_count()} mistakes, too many to list"
        return ApiError(422, [detail(prefix, message, "too_many")])
    errors = error.errors(include_url=False)
    return ApiError(422, [detail([*prefix, *one["loc"]], _sentence(dict(one), known), one["type"]) for one in errors])


def _sentence(error: dict[str, Any], known: Known) -> str:
    loc, kind, context = error["loc"], error["type"], error.get("ctx", {})
    name = f"`{'.'.join(str(part) for part in loc if part != _OF_A_KEY)}`"
    if kind == "missing":
        return f"{name} is missing: add it"
    if kind == "extra_forbidden":
        there_are = ", ".join(sorted(known.get(loc[:-1], ())))
        return f"There is no {name}: " + (f"write one of {there_are}" if there_are else "leave it out")
    if kind == "string_too_short" and context["min_length"] == 1:
        return f"{name} must not be empty"
    if kind in _WANTED:
        wanted = _WANTED[kind].format(**{bound: _plain(value) for bound, value in context.items()})
        return f"{name} must be {wanted}, not {_shown(error['input'])}"
    sentence = str(error["msg"]).removeprefix("Value error, ")
    return f"{name}: {sentence}" if loc else sentence[:1].upper() + sentence[1:]


def _shown(value: Any) -> str:
    """A value in a sentence, which may be many megabytes."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "an array"
    if isinstance(value, str) and len(value) > _SHOWN_CHARACTERS:
        return f"{json.dumps(value[:_SHOWN_CHARACTERS], ensure_ascii=False)}…"
    return json.dumps(value, ensure_ascii=False, default=str)


def _plain(value: Any) -> Any:
    """A bound without the `.0` of a whole number."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
