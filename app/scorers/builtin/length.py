"""length: the output is neither too short nor too long."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from app.scorers.base import BuiltIn
from app.scorers.text import text_of

_Bound = Annotated[int, Field(ge=0)] | None


class Length(BuiltIn):
    """Passes if the output's length is from `min` to `max`, both included. Gives `passed` and `length`.

    Words are what whitespace separates, which counts too few in languages written without it.
    """

    kind: ClassVar[str] = "length"
    description: ClassVar[str] = "The output has a length within bounds, in characters or words."
    inline_up_to: ClassVar[int] = 100_000

    min: _Bound = None
    max: _Bound = None
    unit: Literal["characters", "words"] = "characters"

    @model_validator(mode="after")
    def _some_range(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("give at least one of `min` and `max`")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("`min` must not be more than `max`")
        return self

    def score(self, *, output: Any) -> dict[str, Any]:
        text = text_of(output)
        length = len(text.split()) if self.unit == "words" else len(text)
        passed = (self.min is None or length >= self.min) and (self.max is None or length <= self.max)
        return {"passed": passed, "length": length}
