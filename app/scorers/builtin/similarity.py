"""similarity: how near the output is to the expected answer."""

from typing import Annotated, Any, ClassVar

from pydantic import Field
from rapidfuzz.distance import Levenshtein

from app.scorers.builtin.expected import ExpectedAnswer
from app.scorers.text import text_of


class Similarity(ExpectedAnswer):
    """Scores 1 minus the edit distance over the longer length: 1 is the same text, 0 nothing in common.

    With a `threshold`, `passed` says whether the score reaches it.
    """

    kind: ClassVar[str] = "similarity"
    description: ClassVar[str] = "How near the output is to the expected answer by edit distance, from 0 to 1."
    # The cost is the product of both lengths.
    inline_up_to: ClassVar[int] = 4_000

    threshold: Annotated[float, Field(ge=0, le=1)] | None = None

    def score(self, *, output: Any, inputs: dict[str, Any], attributes: dict[str, Any]) -> dict[str, Any]:
        expected = text_of(self.expected_answer(inputs, attributes))
        score = Levenshtein.normalized_similarity(text_of(output), expected)
        if self.threshold is None:
            return {"score": score}
        return {"passed": score >= self.threshold, "score": score}
