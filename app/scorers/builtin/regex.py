"""regex: the output matches a pattern."""

from functools import lru_cache
from typing import Annotated, Any, ClassVar, Protocol, cast

import re2
from pydantic import AfterValidator, StringConstraints

from app.scorers.base import BuiltIn
from app.scorers.text import text_of

_SHOWN_CHARACTERS = 200

_INLINE_STEPS = 500_000
"""Instructions × characters, each 2 ns at worst."""


class _Match(Protocol):
    def group(self) -> str: ...


class _Pattern(Protocol):
    programsize: int

    def search(self, text: str) -> _Match | None: ...

    def fullmatch(self, text: str) -> _Match | None: ...


@lru_cache(maxsize=1_000)
def _compiled(pattern: str) -> _Pattern:
    options = re2.Options()
    options.log_errors = False
    return cast("_Pattern", re2.compile(pattern, options))


def _valid(pattern: str) -> str:
    try:
        _compiled(pattern)
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise ValueError(f"not an RE2 pattern: {text} (RE2 has no lookaround and no backreferences)") from None
    return pattern


class Regex(BuiltIn):
    """Passes if the RE2 `pattern` is found in the output, or with `full_match` matches all of it.

    Time is linear in the output, whatever the pattern. Flags go inside: `(?i)`, `(?s)`, `(?m)`. Gives `passed` and
    `match`, the first 200 characters of what matched.
    """

    kind: ClassVar[str] = "regex"
    description: ClassVar[str] = "The output matches an RE2 pattern, in linear time."
    inline_up_to: ClassVar[int] = 50_000

    pattern: Annotated[str, StringConstraints(min_length=1, max_length=2_000), AfterValidator(_valid)]
    full_match: bool = False

    def inline_limit(self) -> int:
        return min(self.inline_up_to, _INLINE_STEPS // _compiled(self.pattern).programsize)

    def score(self, *, output: Any) -> dict[str, Any]:
        pattern = _compiled(self.pattern)
        text = text_of(output)
        match = pattern.fullmatch(text) if self.full_match else pattern.search(text)
        if match is None:
            return {"passed": False}
        return {"passed": True, "match": match.group()[:_SHOWN_CHARACTERS]}
