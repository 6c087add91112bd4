"""Weave's query expressions: `{"$eq": [{"$getField": "op_name"}, {"$literal": "…"}]}` and the like.

Contract: `weave/trace_server/interface/query.py` in the wheel of Weave's SDK. Nothing that is asked is passed over: an
operator that is not known is refused.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

Field = Callable[[str], Any]


class BadExpression(ValueError):
    """It cannot be evaluated; the sentence says why."""


def holds(expression: Any, field: Field) -> bool:
    """Whether it is true of what `field` gives the fields of. Raises BadExpression."""
    return bool(value_of(expression, field))


def value_of(expression: Any, field: Field) -> Any:
    """What it comes to. Raises BadExpression."""
    if not isinstance(expression, Mapping) or len(expression) != 1:
        raise BadExpression(f"an expression is an object with one operator, not {expression!r:.100}")
    [(operator, operand)] = expression.items()
    if operator == "$literal":
        return operand
    if operator == "$getField":
        return field(_text(operand, operator))
    if operator in _OF_LISTS:
        return _OF_LISTS[operator](value_of(item, field) for item in _list(operand, operator))
    if operator in _OF_TWO:
        left, right = _two(operand, operator)
        return _OF_TWO[operator](value_of(left, field), value_of(right, field))
    if operator == "$not":
        return not all(holds(item, field) for item in _list(operand, operator))
    if operator == "$in":
        needle, choices = _two(operand, operator)
        wanted = value_of(needle, field)
        return any(_equal(wanted, value_of(choice, field)) for choice in _list(choices, operator))
    if operator == "$contains":
        return _contains(operand, field)
    if operator == "$convert":
        return _convert(operand, field)
    raise BadExpression(f"the operator {operator!r:.100} is not known here")


def wanted(expression: Any, name: str) -> Any:
    """The value that a field must have for the expression to be true, as far as that is plain to see; else None."""
    if not isinstance(expression, Mapping) or len(expression) != 1:
        return None
    [(operator, operand)] = expression.items()
    if operator == "$and" and isinstance(operand, list):
        return next((found for item in operand if (found := wanted(item, name)) is not None), None)
    if operator == "$eq" and isinstance(operand, list) and len(operand) == 2:
        for one, other in (operand, reversed(operand)):
            if one == {"$getField": name} and isinstance(other, Mapping) and "$literal" in other:
                return other["$literal"]
    return None


def mentions(expression: Any, prefix: str) -> bool:
    """Whether it asks for a field that starts with `prefix`."""
    if isinstance(expression, list):
        return any(mentions(item, prefix) for item in expression)
    if not isinstance(expression, Mapping):
        return False
    asked = expression.get("$getField")
    return (isinstance(asked, str) and asked.startswith(prefix)) or mentions(list(expression.values()), prefix)


def at_path(value: Any, path: str) -> Any:
    """What lies in a JSON value at a path such as `inputs.question`; None if there is nothing."""
    for part in path.split("."):
        if isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        elif isinstance(value, Mapping):
            value = value.get(part)
        else:
            return None
    return value


def _equal(left: Any, right: Any) -> bool:
    # True is 1 to Python, and neither to JSON.
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)


def _above(left: Any, right: Any) -> bool:
    try:
        return bool(left > right)
    except TypeError:  # of different kinds, or nothing
        return False


_OF_LISTS: dict[str, Callable[[Any], Any]] = {"$and": all, "$or": any}
_OF_TWO: dict[str, Callable[[Any, Any], bool]] = {
    "$eq": _equal,
    "$gt": _above,
    "$gte": lambda left, right: _above(left, right) or _equal(left, right),
    "$lt": lambda left, right: _above(right, left),
    "$lte": lambda left, right: _above(right, left) or _equal(left, right),
}


def _contains(operand: Any, field: Field) -> bool:
    if not isinstance(operand, Mapping):
        raise BadExpression("$contains takes an object with input and substr")
    text, part = value_of(operand.get("input"), field), value_of(operand.get("substr"), field)
    if not isinstance(text, str) or not isinstance(part, str):
        return False
    return part.casefold() in text.casefold() if operand.get("case_insensitive") else part in text


def _convert(operand: Any, field: Field) -> Any:
    if not isinstance(operand, Mapping) or operand.get("to") not in _CONVERSIONS:
        raise BadExpression(f"$convert takes an object with input, and to, one of {', '.join(_CONVERSIONS)}")
    value = value_of(operand.get("input"), field)
    try:
        return _CONVERSIONS[operand["to"]](value)
    except (TypeError, ValueError, OverflowError):
        return None


def _double(value: Any) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


_CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    "double": _double,
    "int": lambda value: int(float(value)),
    "string": lambda value: value if isinstance(value, str) else str(value),
    "bool": lambda value: value.lower() in ("true", "1") if isinstance(value, str) else bool(value),
    "exists": lambda value: value is not None,
}


def _list(operand: Any, operator: str) -> list[Any]:
    if not isinstance(operand, list):
        raise BadExpression(f"{operator} takes a list")
    return operand


def _two(operand: Any, operator: str) -> tuple[Any, Any]:
    if not isinstance(operand, list) or len(operand) != 2:
        raise BadExpression(f"{operator} takes a list of two")
    return operand[0], operand[1]


def _text(operand: Any, operator: str) -> str:
    if not isinstance(operand, str):
        raise BadExpression(f"{operator} takes a text")
    return operand
