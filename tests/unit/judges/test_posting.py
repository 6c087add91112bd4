"""What comes of a question over HTTP, whatever answers it."""

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from yarl import URL

from app.judges.addresses import Forbidden, PublicOnly
from app.judges.posting import MAX_BYTES, BrokenOff, Poster, proxy_for
from app.scorers import Failure, NoJudgement

from .answering import Asked, answering

HUGE = "x" * (MAX_BYTES + 1)


@asynccontextmanager
async def poster() -> AsyncIterator[Poster]:
    made = Poster("it")
    try:
        yield made
    finally:
        await made.close()


async def refusal(answer: Callable[[Asked], web.Response], key: str | None = None) -> NoJudgement:
    async with answering(answer) as url, poster() as asks:
        with pytest.raises(NoJudgement) as refused:
            await asks.post(url, {}, {}, key)
    return refused.value


@pytest.mark.parametrize("status", [200, 201])
async def test_what_is_answered_with_a_success_is_the_answer(status: int) -> None:
    async with answering(lambda _: web.Response(status=status, text="so")) as url, poster() as asks:
        assert await asks.post(url, {}, {}, None) == b"so"


async def test_of_an_error_the_status_counts_however_large_its_page_is() -> None:
    error = await refusal(lambda _: web.Response(status=503, text=HUGE, headers={"Retry-After": "7"}))
    assert (error.type, error.failure, error.retry_after) == ("provider_unavailable", Failure.UNAVAILABLE, 7)


async def test_an_answer_that_is_too_large_is_none() -> None:
    assert (await refusal(lambda _: web.Response(text=HUGE))).type == "answer_too_large"


@pytest.mark.parametrize(
    "body",
    [
        '{"error": {"message": "it loads"}}',
        '{"error": "it loads"}',
        '{"message": "it loads", "code": 1}',
        '[{"error": {"code": 503, "message": "it loads"}}]',
        '{"detail": "it loads"}',
        "it loads",
        " it\r\n\x1b\u202eloads\x00\n",
    ],
)
async def test_the_words_of_an_error_are_found_in_whatever_shape_it_has(body: str) -> None:
    assert (await refusal(lambda _: web.Response(status=400, text=body))).message == "it answered 400: it loads"


@pytest.mark.parametrize("body", ['{"error": {"message": 1}}', '{"error": [1]}', '{"detail": [{"msg": "no"}]}', "[]"])
async def test_an_error_of_an_unknown_shape_is_shown_as_it_is(body: str) -> None:
    assert (await refusal(lambda _: web.Response(status=400, text=body))).message == f"it answered 400: {body}"


@pytest.mark.parametrize("body", ["", " ", "\n<!DOCTYPE html><html>busy</html>", '{"error": "<html>busy</html>"}'])
async def test_an_error_without_words_is_told_by_its_status(body: str) -> None:
    assert (await refusal(lambda _: web.Response(status=400, text=body))).message == "it answered 400"


async def test_an_error_is_cut_and_never_shows_the_key() -> None:
    text = "x" * 400 + " " * 3_590 + "sk-0123456789abcdef " + "x" * 500_000
    message = (await refusal(lambda _: web.Response(status=400, text=text), key="sk-0123456789abcdef")).message
    assert len(message) <= 500
    assert "sk-" not in message


async def test_a_key_that_no_header_can_carry_is_no_answer_and_is_not_shown() -> None:
    error = await refusal(lambda _: web.Response(), key="secret\n")
    assert (error.type, "secret" in error.message) == ("provider_unreachable", False)


async def scripted(answer: bytes) -> NoJudgement:
    """What comes of a question to a server that reads it, answers these bytes and closes the connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n{}")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server, poster() as asks:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(NoJudgement) as refused:
            await asks.post(URL(f"http://127.0.0.1:{port}/"), {}, {}, None)
    return refused.value


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", b"HTTP/1.1 200", b"what?\r\n\r\n"]
)
async def test_a_connection_that_breaks_once_the_question_was_read_may_have_cost_something(answer: bytes) -> None:
    error = await scripted(answer)
    assert isinstance(error, BrokenOff)
    assert (error.type, error.failure) == ("provider_unreachable", Failure.UNAVAILABLE)


async def test_an_error_whose_page_breaks_off_is_told_by_its_status() -> None:
    error = await scripted(b"HTTP/1.1 503 Busy\r\nContent-Length: 9\r\n\r\n{")
    assert (error.type, error.message) == ("provider_unavailable", "it answered 503: {")


@pytest.mark.parametrize("host", ["127.0.0.1", "nobody.invalid"])
async def test_who_is_not_reached_was_asked_nothing(host: str) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # and does not listen
        async with poster() as asks:
            with pytest.raises(NoJudgement) as refused:
                await asks.post(URL(f"http://{host}:{bound.getsockname()[1]}/"), {}, {}, None)
    assert (refused.value.type, isinstance(refused.value, BrokenOff)) == ("provider_unreachable", False)


async def test_a_silent_name_server_holds_up_only_its_own_host(monkeypatch: pytest.MonkeyPatch) -> None:
    silent = threading.Event()
    looked_up = Counter[str]()

    def getaddrinfo(host: str, port: int, *_: Any) -> list[Any]:
        looked_up[host] += 1
        if host == "silent.example":
            silent.wait()
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    async with answering(lambda _: web.Response(text="so")) as url, poster() as remote, poster() as judge:
        waiting = [asyncio.create_task(remote.post(url.with_host("silent.example"), {}, {}, None)) for _ in range(50)]
        await asyncio.sleep(0)
        waiting.pop(0).cancel()  # the one whose lookup the others wait for
        hosts = [(remote, "other.example"), (judge, "judge.example"), (judge, "judge.example")]
        for asks, host in hosts:
            async with asyncio.timeout(10):
                assert await asks.post(url.with_host(host), {}, {}, None) == b"so"
        silent.set()
        assert set(await asyncio.gather(*waiting)) == {b"so"}
    assert looked_up == {"silent.example": 1, "other.example": 1, "judge.example": 1}


async def test_of_a_host_at_a_private_address_nothing_is_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up = []

    def getaddrinfo(host: str, port: int, *_: Any) -> list[Any]:
        looked_up.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    asks = Poster("it", PublicOnly(()))
    for _ in range(2):
        with pytest.raises(Forbidden):
            await asks.post(URL("https://inside.example/"), {}, {}, None)
    await asks.close()
    assert looked_up == ["inside.example"] * 2


@pytest.mark.parametrize(
    ("environment", "proxy"),
    [
        ({}, None),
        ({"HTTP_PROXY": "http://corp:1"}, "http://corp:1"),
        ({"HTTP_PROXY": "corp:1"}, "http://corp:1"),
        ({"ALL_PROXY": "http://corp:1"}, "http://corp:1"),
        ({"HTTPS_PROXY": "http://corp:1"}, None),
        ({"HTTP_PROXY": "http://corp:1", "NO_PROXY": "judge.internal"}, None),
        ({"HTTP_PROXY": "http://corp:1", "NO_PROXY": "judge.internal:8000"}, None),
        ({"HTTP_PROXY": "http://corp:1", "NO_PROXY": "judge.internal:9000"}, "http://corp:1"),
    ],
)
def test_the_environments_proxy_is_heeded(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], proxy: str | None
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(URL("http://judge.internal:8000/v1")) == proxy
