"""Logged calls: finding one, what is said where there are none, and rows of a table."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.client.fields import EPOCH
from app.client.http import Client
from app.client.text import bare, clean

HEADINGS = ("CALL", "OP", "STARTED AT", "OUTPUT")
_LONGEST = 300  # characters of an output


async def find(client: Client, project: str, call_id: str) -> dict[str, Any] | None:
    """The call; None if the project has none with that id that has ended."""
    items = [call async for call in client.items("/calls", {"project_id": project, "call_id": call_id}, 1)]
    return items[0] if items else None


def none_of(project: str) -> str:
    """What is said of a project without calls."""
    return f"The project {project} has no calls. Import some with: callscore calls import"


def row(call: Mapping[str, Any]) -> Sequence[str]:
    """The cells under HEADINGS; the exception of a call that has no output, and no time of one imported without."""
    output = call.get("output")
    shown = f"exception: {call.get('exception')}" if output is None and call.get("exception") else bare(output)
    started = str(call.get("started_at") or "")
    if started.startswith(EPOCH.removesuffix("Z")):
        started = "-"
    return [call["id"], str(call.get("op_name") or ""), started, clean(shown, _LONGEST)]
