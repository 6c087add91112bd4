"""A published scorer reaches no host that is not allowed by name, and no private address behind an allowed name."""

import socket
from typing import Any

import pytest
from yarl import URL

from app.judges.addresses import Forbidden, PublicOnly, check_address, check_url
from app.settings import Settings

ALLOWED, PRIVATE = ("good.example", "ported.example:8443"), ("inside.example", "127.0.0.1:8000")


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "fec0::1",
        "::ffff:127.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "ff02::1",
        "no address",
    ],
)
def test_no_private_address_is_asked_however_it_is_written(address: str) -> None:
    with pytest.raises(Forbidden, match="no public address"):
        check_address("good.example", address)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "64:ff9b::5db8:d822"])
def test_public_addresses_are_asked(address: str) -> None:
    check_address("good.example", address)


@pytest.mark.parametrize(
    "url",
    [
        "https://good.example/score",
        "https://GOOD.example:444/score",
        "https://ported.example:8443/",
        "http://inside.example/score",
        "http://127.0.0.1:8000/",
    ],
)
def test_hosts_that_are_named_are_asked(url: str) -> None:
    check_url(URL(url), ALLOWED, PRIVATE)


@pytest.mark.parametrize(
    ("entry", "url"),
    [
        ("Scoring.Example.com", "https://scoring.example.com/"),
        ("Scoring.Example.com:8443", "https://SCORING.example.com:8443/"),
        ("scoring.example.com.", "https://scoring.example.com/"),
        ("bücher.example", "https://xn--bcher-kva.example/"),
        ("xn--bcher-kva.example:443", "https://bücher.example/"),
        ("[::1]:8080", "http://[::1]:8080/"),
        ("[0:0:0:0:0:0:0:1]", "http://[::1]:8080/"),
        ("::1", "http://[::1]/"),
    ],
)
def test_a_host_is_named_however_settings_write_it(entry: str, url: str) -> None:
    named = Settings(remote_private_hosts=entry).remote_private_hosts
    check_url(URL(url), (), named)
    with pytest.raises(Forbidden):
        check_url(URL("http://[::2]:8080/"), (), named)


@pytest.mark.parametrize(
    "entry", ["https://good.example", "good.example/score", "good.example:http", "me@good.example", "?"]
)
def test_what_is_no_host_is_refused_at_the_start(entry: str) -> None:
    with pytest.raises(ValueError, match="is not a host, with or without a port"):
        Settings(remote_hosts=entry)


@pytest.mark.parametrize(
    "url",
    [
        "https://bad.example/",
        "https://good.example.bad.example/",
        "https://ported.example/",
        "http://good.example/",
        "http://127.0.0.1:8001/",
        "ftp://good.example/",
        "https://good.example@bad.example/",
        "https://user@good.example/",
        "/score",
    ],
)
def test_no_other_host_is_asked(url: str) -> None:
    with pytest.raises(Forbidden):
        check_url(URL(url), ALLOWED, PRIVATE)


async def test_the_address_that_was_looked_at_is_the_one_that_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that resolves to another address each time, as one does that means to get inside."""
    answers = iter(["93.184.216.34", "127.0.0.1"])

    def getaddrinfo(host: str, port: int, *_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    resolver = PublicOnly(PRIVATE)
    [result] = await resolver.resolve("good.example", 443)
    assert result["host"] == "93.184.216.34"
    with pytest.raises(Forbidden):
        await resolver.resolve("good.example", 443)


async def test_a_host_may_have_a_private_address_only_at_the_port_that_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def getaddrinfo(host: str, port: int, *_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    resolver = PublicOnly(("good.example:8000", "inside.example"))
    for host, port in (("good.example", 8000), ("Good.example.", 8000), ("inside.example", 443)):
        [result] = await resolver.resolve(host, port)
        assert result["host"] == "127.0.0.1"
    with pytest.raises(Forbidden):
        await resolver.resolve("good.example", 443)
