"""Scales of a judge's answers: a number, a label, yes or no. Each has a JSON Schema, and checks answers."""

from abc import ABC, abstractmethod
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Unreadable(ValueError):
    """An answer is not on the scale; the message says why, for the judge too."""


class _Scale(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class CheckedScale(_Scale, ABC):
    """A scale on which an answer is checked."""

    @property
    @abstractmethod
    def field(self) -> str:
        """The name of the value in an answer."""

    @abstractmethod
    def schema_of_value(self) -> dict[str, Any]:
        """The JSON Schema of a value on the scale."""

    @abstractmethod
    def check(self, value: Any) -> Any:
        """The value, if it is on the scale. Raises Unreadable."""


class NumberScale(CheckedScale):
    """Any number from `min` to `max`."""

    type: Literal["number"]
    min: float
    max: float

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.min >= self.max:
            raise ValueError("min must be less than max")
        return self

    @property
    def field(self) -> str:
        return "score"

    def schema_of_value(self) -> dict[str, Any]:
        return {"type": "number", "minimum": self.min, "maximum": self.max}

    def check(self, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Unreadable("`score` must be a number")
        if not self.min <= value <= self.max:
            raise Unreadable(f"`score` must be from {self.min:g} to {self.max:g}")
        return value


class LabelScale(CheckedScale):
    """One of the labels. With `passing`, the score also says whether the label is one of these."""

    type: Literal["label"]
    labels: tuple[Annotated[str, Field(min_length=1)], ...] = Field(min_length=2)
    passing: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _are_distinct(self) -> Self:
        if len(set(self.labels)) < len(self.labels):
            raise ValueError("the labels must differ")
        if not set(self.passing or ()) <= set(self.labels):
            raise ValueError("what is passing must be among the labels")
        return self

    @property
    def field(self) -> str:
        return "label"

    def schema_of_value(self) -> dict[str, Any]:
        return {"type": "string", "enum": list(self.labels)}

    def check(self, value: Any) -> str:
        if value not in self.labels:
            raise Unreadable(f"`label` must be one of {', '.join(self.labels)}")
        return str(value)


class BooleanScale(CheckedScale):
    """True or false."""

    type: Literal["boolean"]

    @property
    def field(self) -> str:
        return "passed"

    def schema_of_value(self) -> dict[str, Any]:
        return {"type": "boolean"}

    def check(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise Unreadable("`passed` must be true or false")
        return value


class JsonScale(_Scale):
    """Any JSON object that the prompt asks for."""

    type: Literal["json"]


class TextScale(_Scale):
    """Any text."""

    type: Literal["text"]


Scale = Annotated[NumberScale | LabelScale | BooleanScale | JsonScale | TextScale, Field(discriminator="type")]


def schema(scale: CheckedScale) -> dict[str, Any]:
    """The JSON Schema of an answer; the reason comes first, so that the model gives it before the value."""
    return {
        "type": "object",
        "properties": {"reason": {"type": "string"}, scale.field: scale.schema_of_value()},
        "required": ["reason", scale.field],
        "additionalProperties": False,
    }


def read(scale: CheckedScale | JsonScale, answer: Any) -> dict[str, Any]:
    """The output that an answer stands for. Raises Unreadable."""
    if not isinstance(answer, dict):
        raise Unreadable("the answer must be a JSON object")
    if isinstance(scale, JsonScale):
        return answer
    if scale.field not in answer:
        raise Unreadable(f"`{scale.field}` is missing")
    reason = answer.get("reason")
    if not isinstance(reason, str):
        raise Unreadable("`reason` must be a text")
    value = scale.check(answer[scale.field])
    output = {scale.field: value, "reason": reason}
    if isinstance(scale, LabelScale) and scale.passing is not None:
        output["passed"] = value in scale.passing
    return output
