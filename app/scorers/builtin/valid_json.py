"""valid_json: the output is JSON."""

from typing import Any, ClassVar

from app.scorers.base import BuiltIn
from app.scorers.text import json_of


class ValidJson(BuiltIn):
    """Passes if the output's text is one JSON value, or the output is an object or array itself.

    A code fence around JSON is not JSON; nor is NaN. Gives `passed` and, if it failed, `error`.
    """

    kind: ClassVar[str] = "valid_json"
    description: ClassVar[str] = "The output is valid JSON."
    inline_up_to: ClassVar[int] = 40_000

    def score(self, *, output: Any) -> dict[str, Any]:
        try:
            json_of(output)
        except ValueError as error:
            return {"passed": False, "error": str(error)}
        return {"passed": True}
