"""The arguments of a run, from the call and the scorer's signature."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.paths import ABSENT
from app.scorers.base import Call, ScorerFunction
from app.scorers.errors import MissingInput


@dataclass(frozen=True, slots=True)
class Arguments:
    """What a signature asks for; made once for each scorer, and used for every call."""

    required: tuple[str, ...]
    optional: tuple[str, ...]
    takes_rest: bool
    never: frozenset[str]

    @classmethod
    def of(cls, target: ScorerFunction) -> "Arguments":
        """Read the signature of a function or bound method.

        Raises TypeError if a required argument is positional-only.
        """
        required: list[str] = []
        optional: list[str] = []
        takes_rest = False
        for parameter in inspect.signature(target).parameters.values():
            if parameter.kind is parameter.VAR_KEYWORD:
                takes_rest = True
            elif parameter.kind is parameter.POSITIONAL_ONLY:
                if parameter.default is parameter.empty:
                    raise TypeError(f"Its argument {parameter.name!r} is positional-only, but arguments go by name.")
            elif parameter.kind is not parameter.VAR_POSITIONAL:
                (required if parameter.default is parameter.empty else optional).append(parameter.name)
        return cls(tuple(required), tuple(optional), takes_rest, _bound_names(target))

    def of_call(self, call: Call) -> dict[str, Any]:
        """The keyword arguments for `call`. Raises MissingInput for an argument without value and default."""
        inputs = inputs_of(call)
        arguments: dict[str, Any] = {}
        missing = []
        for name in self.required:
            value = value_of(name, call, inputs)
            if value is ABSENT:
                missing.append(name)
            else:
                arguments[name] = value
        if missing:
            raise lacks(missing, inputs)
        for name in self.optional:
            value = value_of(name, call, inputs)
            if value is not ABSENT:
                arguments[name] = value
        if self.takes_rest:
            for key, value in inputs.items():
                if key not in arguments and key not in self.never:
                    arguments[key] = value
        return arguments


def _bound_names(target: ScorerFunction) -> frozenset[str]:
    """The `self` of a bound method: a call often has an input of that name, and Python would get it twice."""
    function = getattr(target, "__func__", None)
    if function is None:
        return frozenset()
    return frozenset(list(inspect.signature(function).parameters)[:1])


def inputs_of(call: Call) -> Mapping[str, Any]:
    """The call's inputs; empty if they are not an object."""
    return _object(call, "inputs")


def _object(call: Call, key: str) -> Mapping[str, Any]:
    value = call.get(key)
    return value if isinstance(value, Mapping) else {}


def value_of(name: str, call: Call, inputs: Mapping[str, Any]) -> Any:
    """The value for a scorer's argument `name`; ABSENT if the call has none."""
    match name:
        case "output":
            return call.get("output", ABSENT)
        case "input":
            return next(iter(inputs.values())) if len(inputs) == 1 else inputs
        case "inputs":
            return inputs
        case "call":
            return call
        case "attributes":
            return _object(call, "attributes")
        case _:
            return inputs.get(name, ABSENT)


def lacks(missing: list[str], inputs: Mapping[str, Any]) -> MissingInput:
    """The error for a call that lacks something that the scorer needs."""
    names = ", ".join(map(repr, missing))
    known = ", ".join(repr(key) for key in list(inputs)[:20]) or "none"
    return MissingInput(f"The scorer needs {names}, which the call lacks. Its inputs: {known[:500]}.")
