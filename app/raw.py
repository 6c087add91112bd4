"""Raw bytes of the log as people read them."""

from base64 import b64encode
from contextlib import suppress
from typing import Any

import orjson


def text_field(name: str, raw: bytes | None) -> dict[str, str | None]:
    """A field of text, or one named `..._base64` where it is none."""
    if raw is None:
        return {name: None}
    with suppress(UnicodeDecodeError):
        return {name: raw.decode()}
    return {f"{name}_base64": b64encode(raw).decode()}


def json_field(name: str, raw: bytes | None) -> dict[str, Any]:
    """A field of what the JSON says, or one named `..._base64` where it is none."""
    if raw is None:
        return {name: None}
    with suppress(orjson.JSONDecodeError):
        orjson.loads(raw)  # as it is, since a number may have more digits than a float or an int of 64 bits
        return {name: orjson.Fragment(raw)}
    return {f"{name}_base64": b64encode(raw).decode()}
