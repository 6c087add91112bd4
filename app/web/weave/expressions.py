"""Weave's queries: `{"$expr": {"$eq": [{"$getField": "op_name"}, {"$literal": "…"}]}}` and the like.

Contract: `weave/trace_server/interface/query.py` in the wheel of Weave's SDK. An operator that is not
known is refused, not ignored.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic import Field as PydanticField

from app import paths

Field = Callable[[str], Any]
Evaluate = Callable[[Field], Any]

_TIMES = [{"$getField": name} for name in ("started_at", "ended_at", "created_at")]
_MAX_DEPTH = 50
_MAX_COST = 250_000  # of evaluating it for one row, which holds up everybody: some 10 ms, more on the longest texts
_COSTS = {"$contains": 2_500, "$convert": 2_500}
_COST, _COST_OF_PLAIN = 10, 1  # of another operator; of a literal with a plain value
_CHARACTERS = 10  # of a text, or items of a list, that cost 1
_PLAIN = str | int | float | None  # what is equal as JSON if it is as a key, but for true and 1


class Condition(BaseModel):
    """`{"$expr": …}`, an expression of Weave's."""

    model_config = ConfigDict(extra="forbid")  # otherwise a misspelt one would match everything

    expression: dict[Any, Any] = PydanticField(alias="$expr")


class Several(tuple[Any, ...]):
    """The values of a field that may have several: a comparison is true if it is true for any of them."""

    def __bool__(self) -> bool:
        return any(self)


class BadExpression(ValueError):
    """The expression cannot be evaluated; the message says why."""


def compiled(expression: Any) -> Evaluate:
    """A function that evaluates the expression, given one that returns the value of a field.

    Raises:
        BadExpression: it is invalid, anywhere in it, more than 50 levels deep, or too long.
    """
    if _is_too_long(expression):
        raise BadExpression("the expression is too long: ask for less at a time, or with $in for one of many values")
    return _compiled(expression, 0)


def _is_too_long(expression: Any) -> bool:
    cost, parts = 0, [expression]
    while parts and cost <= _MAX_COST:
        part = parts.pop()
        if isinstance(part, str):
            cost += len(part) // _CHARACTERS
        elif isinstance(part, list):
            cost += len(part) // _CHARACTERS
            parts.extend(part)
        elif isinstance(part, dict):
            cost += _COST_OF_PLAIN if _is_plain(part) else sum(_COSTS.get(operator, _COST) for operator in part)
            parts.extend(part.values())
        else:
            cost += _COST_OF_PLAIN
    return cost > _MAX_COST


def _compiled(expression: Any, depth: int) -> Evaluate:
    if depth > _MAX_DEPTH:
        raise BadExpression(f"an expression may be at most {_MAX_DEPTH} levels deep")
    if not isinstance(expression, Mapping) or len(expression) != 1:
        raise BadExpression(f"an expression is an object with one operator, not {expression!r:.100}")
    [(operator, operand)] = expression.items()
    if operator == "$literal":
        return lambda field: operand
    if operator == "$getField":
        path = _text(operand, operator)
        return lambda field: field(path)

    def inner(value: Any) -> Evaluate:
        return _compiled(value, depth + 1)

    if operator in _OF_LISTS:
        combine, parts = _OF_LISTS[operator], [inner(item) for item in _list(operand, operator)]
        return lambda field: combine(part(field) for part in parts)
    if operator in _OF_TWO:
        compare, two = _OF_TWO[operator], _two(operand, operator)
        left, right = map(inner, two)
        as_compared = _instant if any(side in _TIMES for side in two) else _as_it_is
        return lambda field: any(
            compare(as_compared(one), as_compared(other)) for one in _each(left(field)) for other in _each(right(field))
        )
    if operator == "$in":
        needle, choices = _two(operand, operator)
        return _in(inner(needle), _list(choices, operator), inner)
    if operator == "$contains":
        return _contains(operand, inner)
    if operator == "$convert":
        return _convert(operand, inner)
    raise BadExpression(f"the operator {operator!r:.100} is not known here")


def wanted(expression: Any, name: str) -> Any:
    """The value that a field must have for the expression to be true; None if that is not obvious from it."""
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


def fields(expression: Any) -> Iterator[str]:
    """The fields that an expression uses."""
    if isinstance(expression, list):
        for item in expression:
            yield from fields(item)
    elif isinstance(expression, Mapping):
        if isinstance(asked := expression.get("$getField"), str):
            yield asked
        yield from fields(list(expression.values()))


def at_path(value: Any, path: str) -> Any:
    """The value at a path such as `inputs.question` in a JSON value; None if there is nothing."""
    found = paths.at(value, path)
    return None if found is paths.ABSENT else found


def _equal(left: Any, right: Any) -> bool:
    # True equals 1 in Python, but not in JSON.
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)


def _above(left: Any, right: Any) -> bool:
    try:
        return bool(left > right)
    except TypeError:  # of different types, or None
        return False


def _each(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, Several) else (value,)


def _as_it_is(value: Any) -> Any:
    return value


def _instant(value: Any) -> Any:
    """A time as Unix seconds, as Weave compares times; in UTC unless it has a zone."""
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return value
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


_OF_LISTS: dict[str, Callable[[Iterable[Any]], bool]] = {"$and": all, "$or": any, "$not": lambda parts: not all(parts)}
_OF_TWO: dict[str, Callable[[Any, Any], bool]] = {
    "$eq": _equal,
    "$gt": _above,
    "$gte": lambda left, right: _above(left, right) or _equal(left, right),
    "$lt": lambda left, right: _above(right, left),
    "$lte": lambda left, right: _above(right, left) or _equal(left, right),
}


def _in(wanted: Evaluate, choices: list[Any], inner: Callable[[Any], Evaluate]) -> Evaluate:
    """Whether a value is one of the choices: of thousands, which are nearly always literals, at once."""
    plain = {_key(choice["$literal"]) for choice in choices if _is_plain(choice)}
    others = [inner(choice) for choice in choices if not _is_plain(choice)]

    def is_in(value: Any, field: Field) -> bool:
        if isinstance(value, _PLAIN) and _key(value) in plain:
            return True
        return any(_equal(value, other) for choice in others for other in _each(choice(field)))

    return lambda field: any(is_in(value, field) for value in _each(wanted(field)))


def _is_plain(expression: Any) -> bool:
    if not isinstance(expression, Mapping) or len(expression) != 1:
        return False
    return isinstance(expression.get("$literal", ()), _PLAIN)


def _key(value: Any) -> tuple[bool, Any]:
    return isinstance(value, bool), value


def _contains(operand: Any, inner: Callable[[Any], Evaluate]) -> Evaluate:
    if not isinstance(operand, Mapping):
        raise BadExpression("$contains takes an object with input and substr")
    text_of, part_of = inner(operand.get("input")), inner(operand.get("substr"))
    any_case = bool(operand.get("case_insensitive"))

    def contains(text: Any, part: Any) -> bool:
        if not isinstance(text, str) or not isinstance(part, str):
            return False
        return part.casefold() in text.casefold() if any_case else part in text

    return lambda field: any(contains(text, part) for text in _each(text_of(field)) for part in _each(part_of(field)))


def _convert(operand: Any, inner: Callable[[Any], Evaluate]) -> Evaluate:
    to = operand.get("to") if isinstance(operand, Mapping) else None
    conversion = _CONVERSIONS.get(to) if isinstance(to, str) else None
    if conversion is None:
        raise BadExpression(f"$convert takes an object with input, and to, one of {', '.join(_CONVERSIONS)}")
    convert, value_of = conversion, inner(operand.get("input"))

    def converted(value: Any) -> Any:
        if isinstance(value, Several):
            return Several(map(converted, value))
        try:
            return convert(value)
        except (TypeError, ValueError, OverflowError):
            return None

    return lambda field: converted(value_of(field))


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
        raise BadExpression(f"{operator} takes a string")
    return operand
