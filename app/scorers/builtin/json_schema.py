"""json_schema: the output is JSON that fits a schema."""

from functools import cached_property, lru_cache
from typing import Annotated, Any, ClassVar

import orjson
from jsonschema_rs import RegexOptions, ValidationError, Validator, validator_for
from pydantic import AfterValidator, Field, JsonValue

from app.scorers.base import BuiltIn
from app.scorers.builtin.schema_size import expanded_size
from app.scorers.text import json_of

_MAX_SCHEMA_BYTES = 64 * 1024
_SHOWN_CHARACTERS = 300

_INLINE_STEPS = 2_000_000
"""Characters of schema × characters of output, each 2.5 ns at worst."""

_SMALL_PATTERNS = RegexOptions(size_limit=64 * 1024)


@lru_cache(maxsize=1_000)
def _compiled(schema: bytes) -> Validator:
    # A linear-time regex engine, since users write the patterns; offline, since they write the references.
    return validator_for(orjson.loads(schema), pattern_options=RegexOptions(), offline=True)


def _valid(schema: dict[str, JsonValue]) -> dict[str, JsonValue]:
    try:
        encoded = orjson.dumps(schema, option=orjson.OPT_SORT_KEYS)
    except TypeError as error:
        raise ValueError(f"the schema cannot be written as JSON: {error}") from None
    if len(encoded) > _MAX_SCHEMA_BYTES:
        raise ValueError(f"the schema is {len(encoded):,} bytes of JSON, more than {_MAX_SCHEMA_BYTES:,}")
    try:
        _compiled(encoded)
    except ValidationError as error:
        raise ValueError(f"not a JSON Schema: {error.message}, at {_place(error.instance_path)}") from None
    except Exception as error:
        raise ValueError(f"not a JSON Schema: {error}") from None
    return schema


class JsonSchema(BuiltIn):
    """Passes if the output, parsed if it is text, fits `schema_` (published as `schema`).

    The draft is the one that `$schema` names, else 2020-12. Patterns run in linear time and so have no lookaround;
    references reach only into the schema itself. Gives `passed` and, if it failed, `error`, the first.
    """

    kind: ClassVar[str] = "json_schema"
    description: ClassVar[str] = "The output is JSON that fits a JSON Schema."
    inline_up_to: ClassVar[int] = 16_000

    schema_: Annotated[dict[str, JsonValue], AfterValidator(_valid), Field(alias="schema")]

    def inline_limit(self) -> int:
        size = expanded_size(self.schema_, limit=20_000)
        if size is None or not self._patterns_are_small():
            return 0
        return min(self.inline_up_to, _INLINE_STEPS // size)

    def score(self, *, output: Any) -> dict[str, Any]:
        try:
            value = json_of(output)
        except ValueError as error:
            return {"passed": False, "error": f"not JSON: {error}"}
        try:
            _compiled(self.encoded).validate(value)
        except ValidationError as error:
            return {"passed": False, "error": f"{_place(error.instance_path)}: {error.message[:_SHOWN_CHARACTERS]}"}
        return {"passed": True}

    @cached_property
    def encoded(self) -> bytes:
        """The schema as JSON, keys sorted."""
        return orjson.dumps(self.schema_, option=orjson.OPT_SORT_KEYS)

    def _patterns_are_small(self) -> bool:
        try:
            validator_for(self.schema_, pattern_options=_SMALL_PATTERNS, offline=True)
        except ValidationError:
            return False
        return True


def _place(path: list[str | int]) -> str:
    return "$" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
