"""Which calls a rule means: those that meet its conditions, and of these a share that is always the same.

Conditions are by name: `op_name`, or a path such as `attributes.env` or `inputs.user.plan`. A call meets one if its
value is the one wanted, or one of a list. An op is wanted by its name in full, or by the short name in Weave's ref.
"""

import re
from collections.abc import Mapping
from typing import Any

from app import ids
from app.paths import ABSENT, at

PATH = re.compile(r"(attributes|inputs)\..+")
_OP = re.compile(r"weave:///[^/]+/[^/]+/op/([^:]+):")


def rule_id(project_id: str, name: str) -> str:
    """The id of the rule with a name in a project."""
    return ids.digest("rule", project_id, name)


def matches(where: Mapping[str, Any], call: Mapping[str, Any]) -> bool:
    """Whether a call meets all conditions."""
    return all(_meets(name, wanted, call) for name, wanted in where.items())


def is_sampled(rule_id: str, call_id: str, rate: float) -> bool:
    """Whether a call is in the sample: the same at any time and on any worker, and at any higher rate too."""
    return int(ids.digest(rule_id, call_id)[:13], 16) < rate * 16**13


def _meets(name: str, wanted: Any, call: Mapping[str, Any]) -> bool:
    found = _values(name, call)
    return any(_same(value, one) for value in found for one in (wanted if isinstance(wanted, list) else [wanted]))


def _values(name: str, call: Mapping[str, Any]) -> list[Any]:
    """What a condition may name of a call."""
    if name == "op_name":
        op = call.get("op_name")
        short = _OP.match(op) if isinstance(op, str) else None
        return [op] if short is None else [op, short[1]]
    value = at(call, name)
    return [None if value is ABSENT else value]


def _same(one: Any, other: Any) -> bool:
    """Equality of JSON, where true is not 1."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)
