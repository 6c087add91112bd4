"""Scorers: listing, publishing and trying them, and finding the ref of a name."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import orjson

from app.client import summary
from app.client.defaults import url_option
from app.client.errors import BadInput, Refused, UnknownScorer
from app.client.http import Client
from app.client.text import clean, json_line

_DEFAULT_CHARACTERS = 30
_LATEST = ":latest"


async def listing(client: Client, project: str | None = None) -> list[dict[str, Any]]:
    """The scorers that can be used in a project: its own and those of all projects; None: only the latter."""
    params = {} if project is None else {"project_id": project}
    return [scorer async for scorer in client.items("/scorers", params)]


async def kinds(client: Client) -> list[dict[str, Any]]:
    """The kinds that can be published: name, description and the JSON Schema of the parameters."""
    found: list[dict[str, Any]] = (await client.get("/scorers/kinds"))["items"]
    return found


def parameters(schema: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """(name, type, default, description) of each parameter of a kind, in readable form."""
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
    """A default without its fields that are None."""
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
    """Publish a kind with parameters under a name; doing so again gives the same scorer."""
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
    """A sentence with the parameters of a kind, for an error about others."""
    for one in await kinds(client):
        if one["kind"] == kind:
            named = "; ".join(f"{name} ({type_}, {default})" for name, type_, default, _ in parameters(one["params"]))
            return f"{kind} has the parameters: {named or 'none'}."
    return ""


async def try_once(client: Client, project: str, ref: str, call_id: str) -> dict[str, Any]:
    """Run a scorer on a logged call without storing a score."""
    body = {"project_id": project, "scorer_ref": ref, "call_id": call_id}
    return await client.post("/scorers/try", orjson.dumps(body))


async def refs(client: Client, project: str, wanted: Sequence[str]) -> list[str]:
    """The refs for names and refs; a name means its latest version, preferably the project's own.

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
    """The scorer with a ref, or the latest version of a name, preferably the project's own.

    Raises:
        UnknownScorer: there is no such scorer.
    """
    known = await _own_first(client, project)
    name = wanted.rpartition("/")[2].removesuffix(_LATEST) if is_ref(wanted) and wanted.endswith(_LATEST) else wanted
    for scorer in known:
        if wanted == scorer["ref"] or name == scorer["name"]:
            return scorer
    raise UnknownScorer(await _unknown(client, project, wanted, {scorer["name"] for scorer in known}))


async def _own_first(client: Client, project: str | None) -> list[dict[str, Any]]:
    """The scorers that can be used in a project, its own first, each with its latest version first."""
    return sorted(await listing(client, project), key=lambda scorer: scorer.get("project_id") is None)


async def ref_of_scores(client: Client, project: str, wanted: str) -> str:
    """The ref of a scorer with scores, by ref or name, even if its code is no longer installed.

    Raises:
        UnknownScorer: no scorer and no score has that name.
        BadInput: several versions have scores, and none of them is installed.
    """
    try:
        return (await refs(client, project, [wanted]))[0]
    except UnknownScorer:
        found = await refs_with_scores(client, project, wanted)
        if not found:
            raise
    if len(found) > 1:
        raise BadInput(
            f"{wanted!r} is not installed, and {len(found)} versions of it have scores in {project}. "
            f"Use the ref of one: {', '.join(found)}"
        )
    return found[0]


async def refs_with_scores(client: Client, project: str, name: str) -> list[str]:
    """The refs with a name that have scores, whether they are installed or not."""
    items = await summary.fetch(client, project)
    return sorted({item["scorer_ref"] for item in items if item["scorer_name"] == name})


async def _unknown(client: Client, project: str | None, name: str, known: Iterable[str]) -> str:
    for kind in await kinds(client):
        if kind["kind"] == name:
            schema = kind["params"]
            params = "".join(f" --param {param}=…" for param in schema.get("required", ())) or " --param NAME=…"
            return (
                f"{name!r} is a kind of scorer. Publish it with its parameters first: "
                f"callscore scorers publish NAME --kind {name}{params} --project {project or 'ENTITY/NAME'}"
                f"{url_option(client.service.url)}"
            )
    names = ", ".join(sorted(known)[:20]) or "none"
    where = "for all projects" if project is None else f"in {project}"
    return f"There is no scorer named {name!r} {where}. The scorers are: {names}."


def is_ref(text: str) -> bool:
    """Whether the text is a ref, not a name."""
    return text.startswith(("callscore:///", "weave:///"))
