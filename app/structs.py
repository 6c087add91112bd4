"""Structs that are kept as JSON: events, and rows."""

from typing import Any, Self, dataclass_transform

import msgspec
import orjson


def _plain(value: object) -> msgspec.Raw:
    """What msgspec does not know and orjson does, such as subclasses of `str`, which scorers put into their reports."""
    return msgspec.Raw(orjson.dumps(value))


_encode = msgspec.json.Encoder(enc_hook=_plain).encode


class _Meta(msgspec.StructMeta):
    def __new__(cls, *args: Any, **options: Any) -> Any:
        return super().__new__(cls, *args, **{"kw_only": True} | options)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class Struct(msgspec.Struct, frozen=True, metaclass=_Meta):
    """A struct that never changes, made by keyword. What is in it is checked when it is read, not when it is made."""

    def encode(self) -> bytes:
        """It as JSON.

        Raises:
            TypeError: it holds what is not JSON.
        """
        try:
            return _encode(self)
        except (ValueError, RecursionError) as error:
            raise TypeError(str(error)) from None

    def replace(self, **changes: Any) -> Self:
        """A copy with other values."""
        return msgspec.structs.replace(self, **changes)

    def as_dict(self) -> dict[str, Any]:
        """It as `encode` writes it."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found
