"""exact_match: the output is the expected answer."""

from typing import Any, ClassVar

from app.scorers.builtin.expected import ExpectedAnswer
from app.scorers.text import text_of


class ExactMatch(ExpectedAnswer):
    """Passes if the output's text is the expected answer's text. So the text `42` matches the number 42."""

    kind: ClassVar[str] = "exact_match"
    description: ClassVar[str] = "The output is exactly the expected answer."
    inline_up_to: ClassVar[int] = 50_000

    ignore_case: bool = False
    strip: bool = False

    def score(self, *, output: Any, inputs: dict[str, Any], attributes: dict[str, Any]) -> dict[str, Any]:
        expected = self.expected_answer(inputs, attributes)
        return {"passed": self._normal(output) == self._normal(expected)}

    def _normal(self, value: Any) -> str:
        text = text_of(value)
        if self.strip:
            text = text.strip()
        return text.casefold() if self.ignore_case else text
