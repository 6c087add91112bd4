"""Pages for people: the dashboard and the readable API description. They load nothing from elsewhere."""

from pathlib import Path
from urllib.parse import quote

from aiohttp import web
from yarl import URL

_FOLDER = Path(__file__).parent / "static"
_DASHBOARD = (_FOLDER / "dashboard.html").read_text(encoding="utf-8")
_DOCS = (_FOLDER / "docs.html").read_text(encoding="utf-8")
_TYPES = {".css": "text/css", ".js": "text/javascript"}
_FILES = {
    path.name: (path.read_text(encoding="utf-8"), _TYPES[path.suffix])
    for path in (_FOLDER / "dashboard").iterdir()
    if path.suffix in _TYPES
}


def _headers(own: str) -> dict[str, str]:
    """`own` is where scripts and styles may come from."""
    policy = (
        f"default-src 'none'; style-src {own}; script-src {own}; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return {"Content-Security-Policy": policy, "Cache-Control": "no-cache"}


async def dashboard(request: web.Request) -> web.Response:
    """Requests and how far they are, scores, and calls with what happened to each."""
    return web.Response(text=_DASHBOARD, content_type="text/html", headers=_headers("'self'"))


async def dashboard_file(request: web.Request) -> web.Response:
    """A script or style of the dashboard."""
    found = _FILES.get(request.match_info["file"])
    if found is None:
        raise web.HTTPNotFound
    text, content_type = found
    return web.Response(text=text, content_type=content_type, headers=_headers("'none'"))


async def docs(request: web.Request) -> web.Response:
    """The API description, readable."""
    return web.Response(text=_DOCS, content_type="text/html", headers=_headers("'unsafe-inline'"))


async def weave_project(request: web.Request) -> web.Response:
    """Where Weave's SDK says that a project is shown."""
    raise web.HTTPFound("/")


async def weave_call(request: web.Request) -> web.Response:
    """Where Weave's SDK says that a call is shown."""
    place = "/".join(quote(request.match_info[name], safe="") for name in ("entity", "project", "call_id"))
    raise web.HTTPFound(URL(f"/#call={place}", encoded=True))  # else yarl would decode the slashes of an id
