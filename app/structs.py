"""Structs that are stored as JSON: events, and rows."""

from typing import Any, Self, dataclass_transform

import msgspec

MAX_DEPTH = 190
"""Levels of JSON that is stored as given. orjson writes 254, some of which rows and answers take."""


def is_deep(value: Any) -> bool:
    """Whether it is nested more than MAX_DEPTH levels deep."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return False
    return True


_encode = msgspec.json.Encoder().encode


class _Meta(msgspec.StructMeta):
    """Makes every field keyword-only, an option that msgspec does not inherit."""

    def __new__(cls, *args: Any, **options: Any) -> Any:
        return super().__new__(cls, *args, **{"kw_only": True} | options)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class Struct(msgspec.Struct, frozen=True, metaclass=_Meta):
    """An immutable struct. Its fields are checked when it is decoded, not when it is created."""

    def encode(self) -> bytes:
        """The struct as JSON.

        Raises:
            TypeError: it contains what is not JSON.
        """
        try:
            return _encode(self)
        except (ValueError, RecursionError) as error:
            raise TypeError(str(error)) from None

    def replace(self, **changes: Any) -> Self:
        """A copy with these fields changed."""
        return msgspec.structs.replace(self, **changes)

    def as_dict(self) -> dict[str, Any]:
        """The struct as `encode` writes it."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found
