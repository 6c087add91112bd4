"""similarity: how near the output, or its best part, is to the expected answer."""

from types import SimpleNamespace
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from rapidfuzz import fuzz
from rapidfuzz.distance import Levenshtein
from rapidfuzz.utils import default_process

from app.scorers.builtin.expected import ExpectedAnswer
from app.scorers.text import text_of


def _compared(text: str) -> str:
    """Letters and digits, in lower case; a text without any as it is, since two that are left empty are no match."""
    return default_process(text) or text


# By the name that the class has for it, whose source is the version that refs name: this makes no other version.
utils = SimpleNamespace(default_process=_compared)


class Similarity(ExpectedAnswer):
    """Scores how near the output is to the expected answer: 1 is the same text, 0 nothing in common.

    `of="whole"` compares all of the output: 1 minus the edit distance over the longer length. `of="part"` looks for
    the part of the output that is nearest, whatever its case and punctuation: for long answers to short questions.
    With a `threshold`, `passed` says whether the score reaches it.
    """

    kind: ClassVar[str] = "similarity"
    description: ClassVar[str] = "How near the output is to the expected answer by edit distance, from 0 to 1."
    # The cost is the product of both lengths.
    inline_up_to: ClassVar[int] = 4_000

    of: Literal["whole", "part"] = "whole"
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None

    def score(self, *, output: Any, inputs: dict[str, Any], attributes: dict[str, Any]) -> dict[str, Any]:
        expected = text_of(self.expected_answer(inputs, attributes))
        score = self._score(text_of(output), expected)
        if self.threshold is None:
            return {"score": score}
        return {"passed": score >= self.threshold, "score": score}

    def _score(self, output: str, expected: str) -> float:
        if self.of == "whole":
            return Levenshtein.normalized_similarity(output, expected)
        if len(output) < len(expected):
            # The nearest part of a shorter text is all of it; an empty one is near nothing.
            return fuzz.ratio(output, expected, processor=utils.default_process) / 100
        return fuzz.partial_ratio(output, expected, processor=utils.default_process) / 100
