"""What clients assume unless told otherwise."""

import os
from ipaddress import ip_address

DEFAULT_URL = "http://127.0.0.1:6066"


def default_url() -> str:
    """Where a service started with this environment answers on this machine."""
    host = os.environ.get("CALLSCORE_WEB_HOST", "")
    return url_of(host if _is_loopback(host) else "127.0.0.1", os.environ.get("CALLSCORE_WEB_PORT") or "6066")


def url_of(host: str, port: int | str) -> str:
    """The URL of a host, which may be an IPv6 address, and a port."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
