"""Defaults of the client commands."""

import os

from app.urls import is_loopback, url_of

DEFAULT_URL = "http://127.0.0.1:6066"


def default_url() -> str:
    """The URL on this machine of a service that is started with this environment."""
    host = os.environ.get("CALLSCORE_WEB_HOST", "")
    return url_of(host if is_loopback(host) else "127.0.0.1", os.environ.get("CALLSCORE_WEB_PORT") or "6066")


def url_option(url: str) -> str:
    """` --url URL` for a command to copy; empty if the command reaches that URL in this environment without it."""
    return "" if url == (os.environ.get("CALLSCORE_URL") or default_url()).rstrip("/") else f" --url {url}"
