"""The URLs of services, the hosts in them, and the keys that are sent to them."""

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,63}(\.[a-zA-Z0-9_-]{1,63})*\.?")
_SERVER = re.compile(r"(\[(?P<v6>[^\]]*:[^\]]*)\]|(?P<host>[^:]*))(:(?P<port>\d+))?")


def url_of(host: str, port: int | str) -> str:
    """The URL of a host, which may be an IPv6 address, and a port."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def is_base_url(text: str) -> bool:
    """Whether paths of a service can follow this http or https URL, which has no user or password in it."""
    try:
        parts = urlsplit(text)
        is_whole = is_host(parts.hostname or "") and parts.port != 0 and not (parts.query or parts.fragment)
    except ValueError:
        return False
    is_plain = text.isprintable() and " " not in text
    return is_whole and is_plain and not has_user(text) and parts.scheme in ("http", "https")


def has_user(url: str) -> bool:
    """Whether a URL has a user or a password in it."""
    return "@" in re.split("[/?#]", url.partition("://")[2], maxsplit=1)[0]


def is_key(text: str) -> bool:
    """Whether this can be sent as the key for a service."""
    return bool(text) and text.isascii() and text.isprintable() and " " not in text


def is_host(text: str) -> bool:
    """Whether this may be the name or the address of a host."""
    return is_address(text) or _NAME.fullmatch(text) is not None


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    return host.lower() == "localhost" or (is_address(host) and ip_address(host).is_loopback)


def with_port(server: str, default: int) -> str:
    """A server as host:port, with the default port if it has none; an IPv6 address is in brackets.

    Raises:
        ValueError: it is not a host and port.
    """
    found = _SERVER.fullmatch(server)
    if found is None or not is_host(found["v6"] or found["host"]) or not 0 < int(found["port"] or default) < 2**16:
        raise ValueError(f"{server!r} is no server: write host:port, or [IPv6 address]:port")
    return server if found["port"] else f"{server}:{default}"


def is_address(text: str) -> bool:
    """Whether this is an IP address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
