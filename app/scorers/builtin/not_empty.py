"""not_empty: there is an output at all."""

from typing import Any, ClassVar

from app.scorers.base import BuiltIn
from app.scorers.text import text_of


class NotEmpty(BuiltIn):
    """Passes if the output has a visible character. Null and empty objects and arrays have none."""

    kind: ClassVar[str] = "not_empty"
    description: ClassVar[str] = "The output is not empty."
    inline_up_to: ClassVar[int] = 100_000

    def score(self, *, output: Any) -> dict[str, Any]:
        if output is None or output == {} or output == []:
            return {"passed": False}
        return {"passed": bool(text_of(output).strip())}
