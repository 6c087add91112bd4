"""Logged calls as rows of a table."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.client.text import bare, clean

HEADINGS = ("CALL", "OP", "STARTED AT", "OUTPUT")
_LONGEST = 300  # characters of an output


def row(call: Mapping[str, Any]) -> Sequence[str]:
    """The cells under HEADINGS; in place of an output what a call ended with that has none."""
    output = call.get("output")
    said = f"exception: {call.get('exception')}" if output is None and call.get("exception") else bare(output)
    return [call["id"], str(call.get("op_name") or ""), str(call.get("started_at") or ""), clean(said, _LONGEST)]
