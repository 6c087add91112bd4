"""Scorers: listing them, publishing one, and finding the ref behind a name."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from app.client.errors import CommandError
from app.client.http import Client


async def listing(client: Client, project: str | None = None) -> list[dict[str, Any]]:
    """The scorers that can be used in a project, its own and everybody's; None: only everybody's."""
    params = {} if project is None else {"project_id": project}
    return [scorer async for scorer in client.items("/scorers", params)]


async def publish(
    client: Client, name: str, kind: str, params: Mapping[str, Any], project: str | None = None
) -> dict[str, Any]:
    """Give a kind with parameters a name; doing so again gives the same scorer."""
    body: dict[str, Any] = {"name": name, "kind": kind, "params": params}
    if project is not None:
        body["project_id"] = project
    return await client.post("/scorers", orjson.dumps(body))


async def refs(client: Client, project: str, wanted: Sequence[str]) -> list[str]:
    """The refs for names and refs; a name means its latest version, the project's own before everybody's.

    Raises:
        CommandError: no scorer has that name.
    """
    if all(is_ref(text) for text in wanted):
        return list(wanted)
    known: dict[str, str] = {}
    found = await listing(client, project)
    # Versions of one name are listed latest first.
    for scorer in sorted(found, key=lambda scorer: scorer.get("project_id") is None):
        known.setdefault(scorer["name"], scorer["ref"])
    for text in wanted:
        if not is_ref(text) and text not in known:
            names = ", ".join(sorted(known)[:20]) or "none"
            raise CommandError(f"There is no scorer named {text!r} in {project}; there are: {names}.")
    return list(dict.fromkeys(text if is_ref(text) else known[text] for text in wanted))


def is_ref(text: str) -> bool:
    """Whether the text is a ref, not a name."""
    return text.startswith(("callscore:///", "weave:///"))
