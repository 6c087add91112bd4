"""How much work a JSON Schema is, since references can make a small one exponential."""

from typing import Any
from urllib.parse import unquote

_NOT_FOLLOWED = ("$dynamicRef", "$recursiveRef", "$anchor", "$dynamicAnchor")
_PER_VALUE = 8


def expanded_size(schema: Any, limit: int) -> int | None:
    """About the characters that `schema` would have with every reference replaced by its target.

    None if that is more than `limit`, if the schema is recursive, or if a reference is not simply `#/...`.
    """
    size = 0
    pending = [schema]
    while pending:
        value = pending.pop()
        size += _PER_VALUE
        if isinstance(value, str):
            size += len(value)
        elif isinstance(value, list):
            pending.extend(value)
        elif isinstance(value, dict):
            if any(key in value for key in _NOT_FOLLOWED) or ("$id" in value and value is not schema):
                return None
            size += sum(map(len, value))
            pending.extend(value.values())
            if isinstance(value.get("$ref"), str):
                target = _resolve(schema, value["$ref"])
                if target is None:
                    return None
                pending.append(target)
        if size > limit:
            return None
    return size


def _resolve(schema: Any, reference: str) -> Any:
    if reference == "#":
        return schema
    if not reference.startswith("#/"):
        return None
    found = schema
    for part in reference[2:].split("/"):
        key = unquote(part).replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict):
            found = found.get(key)
        elif isinstance(found, list) and key.isdecimal() and len(key) < 9:
            found = found[int(key)] if int(key) < len(found) else None
        else:
            return None
    return found
