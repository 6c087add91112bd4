"""What clients get whatever goes wrong, and what is counted of it."""

import asyncio
import re

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from app import slices
from app.scorers import Registry
from app.web import health, metrics
from app.web.server import create_app
from tests.unit.web.client import Client, running

_TO_US = b" HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /" + b"a" * 9_000 + _TO_US + b"\r\n",
        b"GET /" + _TO_US + b"X: " + b"a" * 9_000 + b"\r\n\r\n",
        b"GET /\xff" + _TO_US + b"\r\n",
        b"FOO /" + _TO_US + b"\r\n",
        b"POST /calls/score" + _TO_US + b"Transfer-Encoding: chunked\r\n\r\nz\r\n",
    ],
    ids=["long-url", "long-header", "byte-in-url", "unknown-method", "no-chunk-size"],
)
async def test_what_is_not_valid_http_is_400_and_fills_no_log(sent: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with TestServer(create_app(Registry.load())) as server:
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(sent)
        answer = await reader.read()
        writer.close()
    assert answer.startswith(b"HTTP/1.0 400 ")
    assert caplog.records == []


def test_without_a_log_a_submission_is_503_with_the_time_to_come_back(client: Client) -> None:
    body = {"project_id": "a", "call_ids": ["c"], "scorer_refs": ["callscore:///scorer/not_empty:latest"]}
    answer = client.post("/calls/score", body)
    assert answer.status == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.json["detail"][0]["type"] == "unavailable"


def test_a_partition_that_cannot_be_is_not_here(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.cluster.check_ready", lambda: None)
    monkeypatch.setattr("app.cluster.partitions_here", lambda: {7})
    for partition in ("1", "-7", "x", "7" * 5_000):
        answer = client.get(f"/internal/rows/{partition}")
        assert (answer.status, answer.json["detail"][0]["type"]) == (503, "unavailable")


def test_a_backup_that_cannot_be_made_says_why(client: Client) -> None:
    answer = client.post("/internal/backup", {})
    assert answer.status == 503
    assert "is closed" in answer.json["detail"][0]["msg"]  # without a worker


@pytest.mark.parametrize("path", ["/", "/healthz", "/openapi.json", "/nothing/here", "/call/read"])
def test_no_answer_tells_the_versions_of_python_and_aiohttp(client: Client, path: str) -> None:
    assert client.get(path).headers["Server"] == "callscore"


async def test_nor_does_an_answer_to_what_is_not_http() -> None:
    async with TestServer(create_app(Registry.load())) as server:
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(b"x\r\n\r\n")
        answer = await reader.read()
        writer.close()
    assert b" 400 " in answer.splitlines()[0]
    assert b"Server: callscore\r\n" in answer


def test_a_500_tells_nothing_of_the_inside(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    async def fail(request: web.Request) -> web.Response:
        raise RuntimeError("secret")

    monkeypatch.setattr("app.web.server.ROUTES", (web.get("/fails", fail), web.get("/healthz", health.healthz)))
    with running() as client:
        answer = client.get("/fails")
        assert answer.status == 500
        assert answer.json == {"detail": [{"loc": [], "msg": "Internal Server Error", "type": "internal_error"}]}
        assert "RuntimeError: secret" in caplog.text
        assert client.get("/healthz").status == 200


async def test_a_client_that_goes_away_is_counted_apart_and_is_no_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    began, gone, noticed = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        began.set()
        await gone.wait()
        try:
            while True:
                await response.write(b"x")
        finally:
            noticed.set()

    monkeypatch.setattr("app.web.server.ROUTES", (web.get("/stream", stream), web.get("/metrics", metrics.metrics)))
    async with TestClient(TestServer(create_app(Registry.load()))) as client:
        asked = asyncio.create_task(client.get("/stream"))
        await began.wait()
        (await asked).close()
        gone.set()
        await noticed.wait()
        counted = await (await client.get("/metrics")).text()
    assert re.findall(r'requests_total\{method="GET",route="/stream",status="(\d+)"', counted) == ["499"]
    assert caplog.records == []


def test_a_redirect_is_counted_as_what_it_is(client: Client) -> None:
    assert client.get("/acme/flow/weave").status == 200  # of the page that it leads to
    total = r'requests_total\{method="GET",route="/\{entity\}/\{project\}/weave",status="(\d+)"'
    counted = re.findall(total, client.get("/metrics").raw.decode())
    assert ("302" in counted, "200" in counted) == (True, False)


def test_metrics_say_whether_the_worker_is_ready(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\ncallscore_ready 0.0\n" in client.get("/metrics").raw.decode()  # without a worker
    monkeypatch.setattr("app.cluster.check_ready", lambda: None)
    assert "\ncallscore_ready 1.0\n" in client.get("/metrics").raw.decode()


def test_turns_of_the_event_loop_are_short_while_requests_come_in(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slices, "_hurry_until", 0.0)
    monkeypatch.setattr(slices, "HURRY_SECONDS", 60.0)
    assert slices.pace() is slices.PATIENT
    assert client.get("/nothing/here").status == 404
    assert slices.pace() is slices.HURRIED
