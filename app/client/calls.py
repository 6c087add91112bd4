"""Logged calls as rows of a table."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.client.fields import EPOCH
from app.client.text import bare, clean

HEADINGS = ("CALL", "OP", "STARTED AT", "OUTPUT")
_LONGEST = 300  # characters of an output


def row(call: Mapping[str, Any]) -> Sequence[str]:
    """The cells under HEADINGS; the exception of a call that has no output, and no time of one imported without."""
    output = call.get("output")
    shown = f"exception: {call.get('exception')}" if output is None and call.get("exception") else bare(output)
    started = str(call.get("started_at") or "")
    if started.startswith(EPOCH.removesuffix("Z")):
        started = "-"
    return [call["id"], str(call.get("op_name") or ""), started, clean(shown, _LONGEST)]
