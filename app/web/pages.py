"""Pages for people: the dashboard and the readable API description. They load nothing from elsewhere."""

from pathlib import Path
from urllib.parse import urlencode

from aiohttp import web

_FOLDER = Path(__file__).parent / "static"
_DASHBOARD = (_FOLDER / "dashboard.html").read_text(encoding="utf-8")
_DOCS = (_FOLDER / "docs.html").read_text(encoding="utf-8")
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-cache",
}


async def dashboard(request: web.Request) -> web.Response:
    """The requests and how far they are."""
    return web.Response(text=_DASHBOARD, content_type="text/html", headers=_HEADERS)


async def docs(request: web.Request) -> web.Response:
    """The API description, readable."""
    return web.Response(text=_DOCS, content_type="text/html", headers=_HEADERS)


async def weave_project(request: web.Request) -> web.Response:
    """Where Weave's SDK says that a project is shown."""
    raise web.HTTPFound("/")


async def weave_call(request: web.Request) -> web.Response:
    """Where Weave's SDK says that a call is shown."""
    place = request.match_info
    asked = {"project_id": f"{place['entity']}/{place['project']}", "call_id": place["call_id"]}
    raise web.HTTPFound(f"/calls?{urlencode(asked)}")
