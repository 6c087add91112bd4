"""What Weave's SDK requests first: `/server_info`, and its project, by GraphQL.

Contract: `weave.init` of the SDK, which sends only three operations. Projects need not be created here: one exists once
something is logged to it.
"""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from app.keys import User
from app.web.auth import USER
from app.web.bodies import read_json
from app.web.errors import problem
from app.web.responses import json_response

_SERVER = {"min_required_weave_python_version": "0.51.0", "trace_server_version": "0.1.0"}
_NOBODYS_ENTITY = "me"


async def server_info(request: web.Request) -> web.Response:
    """The versions of the SDK that this service supports."""
    return json_response(_SERVER)


async def graphql(request: web.Request) -> web.Response:
    """`{"query", "variables"}` → `{"data"}`: reading or creating a project, and whose key it is."""
    body = await read_json(request)
    query = body.get("query") if isinstance(body, Mapping) else None
    if not isinstance(query, str):
        raise problem(422, ["body", "query"], "the body must be an object with a string 'query'", "invalid")
    variables = body.get("variables")
    given = variables if isinstance(variables, Mapping) else {}
    user = request[USER]
    if "upsertModel" in query:
        return json_response(_made(user, given))
    if "viewer" in query:
        return json_response({"data": {"viewer": _viewer(user)}})
    if "project(" in query:
        return json_response({"data": {"project": _project(user, given.get("entityName"), given.get("name"))}})
    return _errors("This service only answers the GraphQL queries that Weave's SDK sends at its start")


def _made(user: User, given: Mapping[str, Any]) -> dict[str, Any]:
    project = _project(user, given.get("entity"), given.get("name"))
    if project is None:
        return {"data": None, "errors": [{"message": "This key may not use this project"}]}
    return {"data": {"upsertModel": {"model": {**project, "description": given.get("description")}}}}


def _project(user: User, entity: object, name: object) -> dict[str, Any] | None:
    return {"name": name} if user.may_use(f"{entity}/{name}") else None


def _viewer(user: User) -> dict[str, Any]:
    """Who the user is. The default entity is that of all of the user's projects, if they have the same."""
    entities = {glob.partition("/")[0] for glob in user.projects if "/" in glob}
    plain = len(entities) == 1 and not any(sign in next(iter(entities)) for sign in "*?[")
    name = user.name or _NOBODYS_ENTITY
    return {"username": name, "defaultEntity": {"name": entities.pop() if plain else name}}


def _errors(message: str) -> web.Response:
    return json_response({"data": None, "errors": [{"message": message}]})
