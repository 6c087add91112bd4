"""Who calls: HTTP Basic (`api:KEY`, as the Weave SDK sends it) or Bearer, against the key file."""

import base64
from collections.abc import Sequence

from aiohttp import web

from app import peers
from app.keys import ANYONE, KeyFile, User
from app.web.errors import ApiError, Handler, not_found, problem

KEYS: web.AppKey[KeyFile | None] = web.AppKey("keys")
USER: web.RequestKey[User] = web.RequestKey("user", User)

Loc = Sequence[str]
"""Where something is named, as in the details of errors."""

OPEN_PATHS = frozenset({"/healthz", "/readyz", "/openapi.json", "/docs", "/metrics", peers.PATH})


@web.middleware
async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let callers with a valid key through; without a key file, everyone."""
    keys = request.app[KEYS]
    if keys is None:
        request[USER] = ANYONE
    elif request.path not in OPEN_PATHS:
        key = key_in(request.headers.get("Authorization", ""))
        user = keys.user_for(key) if key else None
        if user is None:
            raise _unauthorized()
        request[USER] = user
    return await handler(request)


def key_in(authorization: str) -> str | None:
    """The key in an `Authorization` header: the password of Basic, whoever the user, or the Bearer token."""
    scheme, _, value = authorization.partition(" ")
    value = value.strip()
    if scheme.lower() == "bearer":
        return value or None
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(value, validate=True).decode()
    except ValueError:  # also what is no base64 and no UTF-8
        return None
    return decoded.partition(":")[2] or None


def check_write(request: web.Request, project_id: str, loc: Loc = ("body", "project_id")) -> None:
    """Return if the caller may write to the project that is named at `loc`.

    Raises:
        ApiError: 403.
    """
    if not request[USER].may_use(project_id):
        raise problem(403, loc, "This key may not use this project", "forbidden")


def check_read(
    request: web.Request, project_id: str, what: str = "Project", loc: Loc = ("query", "project_id")
) -> None:
    """Return if the caller may read the project that is named, or has what is named, at `loc`.

    Raises:
        ApiError: 404, so that nobody learns what others have.
    """
    if not request[USER].may_use(project_id):
        raise not_found(what, *loc)


def check_all_projects(request: web.Request, message: str, loc: Loc = ()) -> None:
    """Return if the caller may use every project.

    Raises:
        ApiError: 403 with `message`.
    """
    if not request[USER].may_use_all():
        raise problem(403, loc, message, "forbidden")


def _unauthorized() -> ApiError:
    message = "A valid API key is needed, as HTTP Basic api:KEY or as a Bearer token"
    # Only Basic is named: Chromium asks for no password where a second scheme follows in the same header.
    named = ["header", "Authorization"]
    return problem(401, named, message, "unauthorized", WWW_Authenticate='Basic realm="callscore"')
