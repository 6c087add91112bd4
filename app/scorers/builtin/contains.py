"""contains: the output has certain words."""

from functools import cached_property
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, StringConstraints, model_validator

from app.scorers.base import BuiltIn
from app.scorers.text import text_of

_Text = Annotated[str, StringConstraints(min_length=1, max_length=10_000)]
_Texts = Annotated[tuple[_Text, ...], Field(max_length=100)]


class Contains(BuiltIn):
    """Passes if the output contains `text`, at least one of `any_of`, and all of `all_of`, as far as each is given.

    Gives `passed` and `found`, those of the texts that were found.
    """

    kind: ClassVar[str] = "contains"
    description: ClassVar[str] = "The output contains a text, any of several texts, or all of several texts."
    inline_up_to: ClassVar[int] = 50_000

    text: _Text | None = None
    any_of: _Texts = ()
    all_of: _Texts = ()
    case_sensitive: bool = False

    @model_validator(mode="after")
    def _some_text(self) -> Self:
        if not self._texts:
            raise ValueError("give at least one of `text`, `any_of` and `all_of`")
        return self

    def inline_limit(self) -> int:
        return self.inline_up_to // len(self._texts)

    def score(self, *, output: Any) -> dict[str, Any]:
        judged = self._fold(text_of(output))
        found = [text for text, folded in self._texts.items() if folded in judged]
        passed = (
            (self.text is None or self.text in found)
            and (not self.any_of or any(text in found for text in self.any_of))
            and all(text in found for text in self.all_of)
        )
        return {"passed": passed, "found": found}

    @cached_property
    def _texts(self) -> dict[str, str]:
        """All that is looked for, and what it is looked for as."""
        given = (self.text,) if self.text is not None else ()
        return {text: self._fold(text) for text in (*given, *self.any_of, *self.all_of)}

    def _fold(self, text: str) -> str:
        return text if self.case_sensitive else text.casefold()
