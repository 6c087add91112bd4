"""Which hosts a remote scorer may be on, so that no published scorer makes this service reach into its own network.

A host must be allowed by name, and must resolve to a public address unless settings allow it to be private. The
connection goes to the address that was checked.
"""

from collections.abc import Collection
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any

from aiohttp.abc import ResolveResult
from yarl import URL

from app.judges.resolver import Resolver
from app.scorers import NoJudgement

_TRANSLATED = IPv6Network("64:ff9b::/96")  # NAT64: the last 32 bits are an IPv4 address


class Forbidden(NoJudgement):
    """No requests may be sent to the endpoint."""

    def __init__(self, message: str) -> None:
        super().__init__("endpoint_forbidden", message)


def check_url(url: URL, allowed: Collection[str], private: Collection[str]) -> None:
    """Return if requests may be sent to the url, as far as that depends on the url alone.

    `allowed` and `private` are hosts, with or without a port, as `Settings` has them. Raises Forbidden.
    """
    host = (url.host or "").rstrip(".")
    if url.user is not None or url.password is not None:
        raise Forbidden("the url of an endpoint must have no user and password")
    if url.scheme not in ("https", "http") or not host:
        raise Forbidden(f"{str(url)[:200]!r} is not the https url of an endpoint")
    named, port = url.host_subcomponent or "", url.port
    is_private = _is_among(private, named, port)
    if not is_private and not _is_among(allowed, named, port):
        raise Forbidden(f"{host} is not among the hosts that CALLSCORE_REMOTE_HOSTS allows")
    if url.scheme != "https" and not is_private:
        raise Forbidden(f"{host} must be asked by https, unless CALLSCORE_REMOTE_PRIVATE_HOSTS names it")
    if not is_private and _literal(host) is not None:
        check_address(host, host)


def check_address(host: str, address: str) -> None:
    """Return if the address is public. Raises Forbidden."""
    found = _literal(address)
    if found is None or not _is_public(found):
        message = f"{host} is at {address}, which is no public address; CALLSCORE_REMOTE_PRIVATE_HOSTS may allow it"
        raise Forbidden(message)


class PublicOnly(Resolver):
    """Resolves names and checks the addresses, so that only addresses that were checked are cached and connected to."""

    def __init__(self, private: Collection[str]) -> None:
        super().__init__()
        self._private = frozenset(private)

    async def resolve(self, host: str, port: int = 0, *args: Any, **kwargs: Any) -> list[ResolveResult]:
        found = await super().resolve(host, port, *args, **kwargs)
        if not _is_among(self._private, host, port):
            for result in found:
                check_address(host, result["host"])
        return found


def _is_among(hosts: Collection[str], host: str, port: int | None) -> bool:
    name = host.rstrip(".").lower()
    return name in hosts or f"{name}:{port}" in hosts


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether the address is public, also where an IPv6 address embeds an IPv4 one."""
    if isinstance(address, IPv6Address):
        if address in _TRANSLATED:
            return _is_public(IPv4Address(int(address) & 0xFFFFFFFF))
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if inner is not None:
            return _is_public(inner)
        if address.is_site_local:  # which Python takes for global
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved
