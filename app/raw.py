"""Raw bytes of the log as JSON fields that people can read."""

from base64 import b64encode
from contextlib import suppress
from typing import Any

import orjson


def text_field(name: str, raw: bytes | None) -> dict[str, str | None]:
    """A text field, or one named `..._base64` if it is not UTF-8."""
    if raw is None:
        return {name: None}
    with suppress(UnicodeDecodeError):
        return {name: raw.decode()}
    return {f"{name}_base64": b64encode(raw).decode()}


def json_field(name: str, raw: bytes | None) -> dict[str, Any]:
    """A JSON field, or one named `..._base64` if it is not JSON."""
    if raw is None:
        return {name: None}
    with suppress(orjson.JSONDecodeError):
        orjson.loads(raw)  # as it is, since a number may have more digits than a float or an int of 64 bits
        return {name: orjson.Fragment(raw)}
    return {f"{name}_base64": b64encode(raw).decode()}
