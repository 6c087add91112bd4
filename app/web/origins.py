"""Which web pages may use the service: its own.

A browser lets any page send requests to this machine, and to a service that its user has logged in to. Other clients,
such as the Weave SDK, curl and the commands, send neither `Origin` nor `Sec-Fetch-Site`.
"""

from urllib.parse import urlsplit

from aiohttp import web

from app.settings import get_settings
from app.urls import is_address
from app.web.auth import KEYS
from app.web.errors import Handler, problem

_READING = frozenset({"GET", "HEAD", "OPTIONS"})


@web.middleware
async def refuse_other_pages(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let no page of another site change anything.

    Without a key file, none may read anything either, as it could by giving its own name the address of this machine
    (DNS rebinding). With a key file it would lack the key, since browsers keep passwords by name.
    """
    host = request.headers.get("Host")
    if request.app[KEYS] is None and host is not None and not _is_own(host):
        message = (
            "Without API keys the service answers only to localhost, IP addresses and the host of "
            f"CALLSCORE_ADVERTISED_URL, not to {host[:100]!a}: set that variable, or CALLSCORE_API_KEYS"
        )
        raise problem(403, ["header", "Host"], message, "host_refused")
    if request.method not in _READING and not _is_own_page(request, host):
        message = (
            "Pages of other sites may change nothing here; "
            "a proxy in front of the service must pass on the Host header of the browser"
        )
        raise problem(403, ["header", "Origin"], message, "origin_refused")
    return await handler(request)


def _is_own(host: str) -> bool:
    try:
        name, own = urlsplit(f"//{host}").hostname, urlsplit(get_settings().url).hostname
    except ValueError:
        return False
    name = (name or "").rstrip(".")
    # A page whose host is an address was loaded from there: only names can be given another address.
    return name in ("localhost", own) or name.endswith(".localhost") or is_address(name)


def _is_own_page(request: web.Request, host: str | None) -> bool:
    """Whether the request is from a page of this service, or from no page.

    `Sec-Fetch-Site` is the browser's own answer, which it gives only over https and to this machine.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("Origin")
    return origin is None or origin in (f"http://{host}", f"https://{host}")
