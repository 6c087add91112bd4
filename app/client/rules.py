"""Rules: which calls are scored as they are logged."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from app.client.errors import BadInput
from app.client.http import Client
from app.client.text import json_line


async def listing(client: Client, project: str) -> list[dict[str, Any]]:
    """The rules of a project, by name."""
    return [rule async for rule in client.items("/rules", {"project_id": project})]


async def put(
    client: Client, project: str, name: str, refs: Sequence[str], where: Mapping[str, Any], sample_rate: float
) -> dict[str, Any]:
    """Set a rule; one of the same name is replaced."""
    body = {"name": name, "project_id": project, "scorer_refs": refs, "where": where, "sample_rate": sample_rate}
    return await client.post("/rules", orjson.dumps(body))


async def find(client: Client, project: str, name: str) -> dict[str, Any]:
    """The rule with a name. Raises BadInput if there is none."""
    rules = await listing(client, project)
    for rule in rules:
        if rule["name"] == name:
            return rule
    names = ", ".join(rule["name"] for rule in rules) or "none"
    raise BadInput(f"There is no rule named {name!r} in {project}. The rules are: {names}.")


async def order(client: Client, project: str, name: str, order: str) -> dict[str, Any]:
    """Pause, resume or remove a rule."""
    rule = await find(client, project, name)
    return await client.post(f"/rules/{rule['rule_id']}/{order}", b"{}")


def conditions(where: Mapping[str, Any]) -> str:
    """Conditions in readable form."""
    wanted = (
        (name, " or ".join(map(json_line, value)) if isinstance(value, list) else json_line(value))
        for name, value in where.items()
    )
    return ", ".join(f"{name} = {value}" for name, value in wanted) or "every call"
