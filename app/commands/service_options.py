"""--url and --api-key, which every command that talks to the service takes."""

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

import click

from app.client.defaults import DEFAULT_URL, default_url


def service_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add both options and pass them on as one `service`."""

    @click.option(
        "--url",
        envvar="CALLSCORE_URL",
        default=default_url,
        show_default="CALLSCORE_URL, else this machine and CALLSCORE_WEB_PORT, else 6066",
        help="Where the service answers.",
    )
    @click.option("--api-key", envvar="CALLSCORE_API_KEY", help="The key to show (better in CALLSCORE_API_KEY).")
    @wraps(function)
    def with_service(*args: Any, url: str, api_key: str | None, **kwargs: Any) -> Any:
        from app.client.http import Service

        return function(*args, service=Service(_checked_url(url), _checked_key(api_key)), **kwargs)

    return with_service


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and not (parts.query or parts.fragment)
        good = good and url.isprintable() and " " not in url and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise click.UsageError(f"The service's URL must look like {DEFAULT_URL}, not {url!r}.")
    return url.rstrip("/")


def _checked_key(key: str | None) -> str | None:
    if key and not (key.isascii() and key.isprintable() and " " not in key):
        raise click.UsageError("An API key has only printable ASCII characters and no spaces.")
    return key or None
