"""The expected answer of a call: a parameter, or a field of its inputs or attributes."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import Field, JsonValue, model_validator

from app.scorers.base import BuiltIn, Call
from app.scorers.errors import MissingInput


class ExpectedAnswer(BuiltIn):
    """Base of built-ins that compare with an expected answer. Exactly one of the two parameters must be given."""

    expected: JsonValue = Field(default=None, description="The expected answer, the same for every call.")
    expected_field: str | None = Field(
        default=None,
        min_length=1,
        max_length=1_000,
        description="Where each call has its expected answer: a dotted path such as `inputs.answer`, "
        "`attributes.gold.0`, or `answer`, which is looked for in the inputs, then in the attributes.",
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.expected is None) == (self.expected_field is None):
            raise ValueError("give exactly one of `expected` and `expected_field`")
        return self

    def judged(self, call: Call) -> tuple[Any, ...]:
        try:
            return call.get("output"), self.expected_answer(call.get("inputs") or {}, call.get("attributes") or {})
        except MissingInput:
            return (call.get("output"),)

    def expected_answer(self, inputs: Mapping[str, Any], attributes: Mapping[str, Any]) -> Any:
        """The expected answer of a call. Raises MissingInput."""
        if self.expected_field is None:
            return self.expected
        root, _, path = self.expected_field.partition(".")
        places = {"inputs": [(inputs, path)], "attributes": [(attributes, path)]}.get(root if path else "", [])
        # A bare path comes last: an input may itself be named `inputs`.
        for place, rest in [*places, (inputs, self.expected_field), (attributes, self.expected_field)]:
            found = _lookup(place, rest)
            if found is not _ABSENT:
                return found
        raise MissingInput(f"The call has no {self.expected_field!r} in its inputs or attributes to compare with.")


_ABSENT = object()


def _lookup(value: Any, path: str) -> Any:
    """A whole key wins over a dotted path, since keys may contain dots."""
    if isinstance(value, Mapping):
        if path in value:
            return value[path]
        head, dot, rest = path.partition(".")
        return _lookup(value[head], rest) if dot and head in value else _ABSENT
    if isinstance(value, list):
        head, dot, rest = path.partition(".")
        if not head.isdecimal() or len(head) > 9 or int(head) >= len(value):
            return _ABSENT
        return _lookup(value[int(head)], rest) if dot else value[int(head)]
    return _ABSENT
