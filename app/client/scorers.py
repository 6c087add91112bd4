"""Scorers: listing them, publishing one, and finding the ref behind a name."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import orjson

from app.client import summary
from app.client.errors import BadInput, Refused, UnknownScorer
from app.client.http import Client
from app.client.text import clean, json_line

_DEFAULT_CHARACTERS = 30
_LATEST = ":latest"


async def listing(client: Client, project: str | None = None) -> list[dict[str, Any]]:
    """The scorers that can be used in a project, its own and everybody's; None: only everybody's."""
    params = {} if project is None else {"project_id": project}
    return [scorer async for scorer in client.items("/scorers", params)]


async def kinds(client: Client) -> list[dict[str, Any]]:
    """The kinds that can be published: name, description and the JSON Schema of the parameters."""
    found: list[dict[str, Any]] = (await client.get("/scorers/kinds"))["items"]
    return found


def parameters(schema: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """(name, type, default, description) of each parameter of a kind, for people."""
    required = schema.get("required", ())
    return [
        (
            name,
            _type(field),
            "required" if name in required else clean(json_line(_brief(field.get("default"))), _DEFAULT_CHARACTERS),
            field.get("description", ""),
        )
        for name, field in schema.get("properties", {}).items()
    ]


def _brief(default: Any) -> Any:
    """A default without what it leaves open."""
    if not isinstance(default, dict):
        return default
    return {name: value for name, value in default.items() if value is not None}


def _type(field: Mapping[str, Any]) -> str:
    if "enum" in field:
        return " or ".join(map(json_line, field["enum"]))
    if "anyOf" in field:
        return " or ".join(map(_type, field["anyOf"]))
    if field.get("type") == "array":
        return f"array of {_type(field.get('items', {}))}"
    return str(field.get("type") or field.get("$ref", "any").rpartition("/")[2].replace("JsonValue", "any"))


async def publish(
    client: Client,
    name: str,
    kind: str,
    params: Mapping[str, Any],
    project: str | None = None,
    policy: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Give a kind with parameters a name; doing so again gives the same scorer."""
    body: dict[str, Any] = {"name": name, "kind": kind, "params": params}
    if project is not None:
        body["project_id"] = project
    if policy:
        body["policy"] = policy
    try:
        return await client.post("/scorers", orjson.dumps(body))
    except Refused as error:
        if error.status == 422 and "body.params." in error.reason:
            with suppress(Refused):
                raise BadInput(f"{error} {await _takes(client, kind)}") from None
        raise


async def _takes(client: Client, kind: str) -> str:
    """What parameters a kind has, for who has named or filled in others."""
    for one in await kinds(client):
        if one["kind"] == kind:
            named = "; ".join(f"{name} ({type_}, {default})" for name, type_, default, _ in parameters(one["params"]))
            return f"{kind} takes: {named or 'no parameters'}."
    return ""


async def try_once(client: Client, project: str, ref: str, call_id: str) -> dict[str, Any]:
    """Run a scorer on a logged call, without recording anything."""
    body = {"project_id": project, "scorer_ref": ref, "call_id": call_id}
    return await client.post("/scorers/try", orjson.dumps(body))


async def refs(client: Client, project: str, wanted: Sequence[str]) -> list[str]:
    """The refs for names and refs; a name means its latest version, the project's own before everybody's.

    Raises:
        UnknownScorer: no scorer has that name.
    """
    if all(is_ref(text) for text in wanted):
        return list(wanted)
    known: dict[str, str] = {}
    for scorer in await _own_first(client, project):
        known.setdefault(scorer["name"], scorer["ref"])
    for text in wanted:
        if not is_ref(text) and text not in known:
            raise UnknownScorer(await _unknown(client, project, text, known))
    return list(dict.fromkeys(text if is_ref(text) else known[text] for text in wanted))


async def find(client: Client, project: str | None, wanted: str) -> dict[str, Any]:
    """The scorer with a ref, or the latest with a name, the project's own before everybody's.

    Raises:
        UnknownScorer: there is none.
    """
    known = await _own_first(client, project)
    name = wanted.rpartition("/")[2].removesuffix(_LATEST) if is_ref(wanted) and wanted.endswith(_LATEST) else wanted
    for scorer in known:
        if wanted == scorer["ref"] or name == scorer["name"]:
            return scorer
    raise UnknownScorer(await _unknown(client, project, wanted, {scorer["name"] for scorer in known}))


async def _own_first(client: Client, project: str | None) -> list[dict[str, Any]]:
    """All that can be used in a project, versions of one name latest first, as they are listed."""
    return sorted(await listing(client, project), key=lambda scorer: scorer.get("project_id") is None)


async def ref_of_scores(client: Client, project: str, wanted: str) -> str:
    """The ref for a ref, or for the name of a scorer whose scores are asked for, also if its code is gone.

    Raises:
        UnknownScorer: no scorer has that name, nor has any score.
        BadInput: scores have that name by several refs, none of which can be used now.
    """
    try:
        return (await refs(client, project, [wanted]))[0]
    except UnknownScorer:
        found = await refs_with_scores(client, project, wanted)
        if not found:
            raise
    if len(found) > 1:
        raise BadInput(
            f"No code of {wanted!r} is installed, and {len(found)} versions of it have scores in {project}; "
            f"name one by its ref: {', '.join(found)}"
        )
    return found[0]


async def refs_with_scores(client: Client, project: str, name: str) -> list[str]:
    """The refs of a name by which there are scores, whether their code is here or not."""
    items = await summary.fetch(client, project)
    return sorted({item["scorer_ref"] for item in items if item["scorer_name"] == name})


async def _unknown(client: Client, project: str | None, name: str, known: Iterable[str]) -> str:
    for kind in await kinds(client):
        if kind["kind"] == name:
            schema = kind["params"]
            params = "".join(f" --param {param}=…" for param in schema.get("required", ())) or " --param NAME=…"
            return (
                f"{name!r} is a kind of scorer, which has to be published with its parameters first: "
                f"callscore scorers publish NAME --kind {name}{params} --project {project or 'ENTITY/NAME'}"
            )
    names = ", ".join(sorted(known)[:20]) or "none"
    where = "for all projects" if project is None else f"in {project}"
    return f"There is no scorer named {name!r} {where}; there are: {names}."


def is_ref(text: str) -> bool:
    """Whether the text is a ref, not a name."""
    return text.startswith(("callscore:///", "weave:///"))
