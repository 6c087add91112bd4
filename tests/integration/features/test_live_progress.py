"""Progress that counts what is scored, live and resumable."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import orjson
import pytest

from app.client.http import Client
from app.client.http import Service as Address
from app.client.sse import server_sent
from tests.brokers import kafka_only
from tests.service import Service, attempts

PROJECT = "acme/live"


@asynccontextmanager
async def listening(service: Service, request_id: str, **headers: str) -> AsyncIterator[aiohttp.ClientResponse]:
    async with (
        aiohttp.ClientSession(service.url, connector=aiohttp.TCPConnector(limit=0)) as session,
        session.get(f"/score-requests/{request_id}/events", headers=headers) as response,
    ):
        yield response


async def all_events(service: Service, request_id: str, **headers: str) -> list[tuple[str, Any, float]]:
    """(id, snapshot, when it came) of a stream until it ends."""
    async with listening(service, request_id, **headers) as response:
        assert (response.status, response.content_type) == (200, "text/event-stream")
        events = server_sent(response.content.iter_any())
        return [(event_id, orjson.loads(data), time.monotonic()) async for event_id, data in events]


def submit(service: Service, number: int, scorer: str, output: object = "an output") -> str:
    """Log so many calls and have a scorer run on each, again if it has; returns the request's id."""
    ids = [f"call-{n}" for n in range(number)]
    service.log_calls(PROJECT, ids, str(output))
    return service.submit(PROJECT, ids, service.refs(scorer), **{"Callscore-Rescore": str(uuid4())})


def without_times(request: Any) -> Any:
    return {name: value for name, value in request.items() if name not in ("rate", "eta")}


async def test_snapshots_come_at_most_5_a_second_and_always_the_last_one(make_service: Callable[..., Service]) -> None:
    service = make_service(scorers="tests.plugin_scorers", scorer_concurrency=5).start()  # so that it takes seconds
    request = submit(service, 1500, "patient")
    asked = time.monotonic()
    events = await all_events(service, request)
    # By when they were asked for, not by each other: they may come late, and then together.
    for number, (_, _, came) in enumerate(events):
        assert number <= 1 + (came - asked) * 5
    done = [snapshot["tasks"]["succeeded"] for _, snapshot, _ in events]
    assert done == sorted(done)
    assert len(set(done)) > 2
    assert len({event_id for event_id, _, _ in events}) == len(events)
    assert [snapshot["status"] for _, snapshot, _ in events[:-1]] == ["running"] * (len(events) - 1)
    assert without_times(events[-1][1]) == without_times(service.status(request))
    assert events[-1][1]["status"] == "completed"


async def test_a_finished_requests_stream_sends_the_last_one_and_closes(shared: Service) -> None:
    shared.log_calls(PROJECT, ["over"])
    request = shared.submit(PROJECT, ["over"], shared.refs("not_empty"))
    finished = shared.wait_finished(request)
    [(event_id, snapshot, _)] = await all_events(shared, request)
    assert without_times(snapshot) == without_times(finished)
    async with listening(shared, request, **{"Last-Event-ID": event_id}) as response:
        assert (response.status, await response.read()) == (204, b"")
    assert len(await all_events(shared, request, **{"Last-Event-ID": "another"})) == 1
    assert shared.get("/score-requests/nothing/events").status == 404
    assert shared.request("HEAD", f"/score-requests/{request}/events").status == 405


async def test_who_comes_back_is_told_only_what_is_new(gated: Service, gate: Path) -> None:
    request = submit(gated, 3, "gated", gate)
    gated.wait_for_tasks(request, "running", 3)
    async with listening(gated, request) as response:
        events = server_sent(response.content.iter_any())
        seen = ""
        async for seen, data in events:  # noqa: B007
            if orjson.loads(data)["tasks"]["running"] == 3:
                break
    back = asyncio.create_task(all_events(gated, request, **{"Last-Event-ID": seen}))
    await asyncio.sleep(0.6)
    gate.write_text("go")
    found = await back
    assert seen not in [known for known, _, _ in found]
    assert found[-1][1]["tasks"]["succeeded"] == 3


async def test_a_stream_ends_cleanly_when_the_worker_stops_and_a_client_goes_on_after_its_restart(
    gated: Service, gate: Path
) -> None:
    request = submit(gated, 3, "gated", gate)
    listener = asyncio.create_task(all_events(gated, request))
    seen: list[Any] = []
    begun = asyncio.Event()

    async def client() -> None:
        async with Client(Address(gated.url), patience=60) as connection:
            async for snapshot in connection.events(f"/score-requests/{request}/events"):
                seen.append(snapshot)
                begun.set()
                if snapshot["status"] != "running":
                    return

    following = asyncio.create_task(client())
    await begun.wait()
    await asyncio.to_thread(gated.stop)
    events = await asyncio.wait_for(listener, 5)  # a payload that was cut off would raise
    assert events[-1][1]["status"] == "running"
    await asyncio.to_thread(gated.start)
    gate.write_text("go")
    await asyncio.wait_for(following, 30)
    assert seen[-1]["tasks"]["succeeded"] == 3


async def test_a_retried_request_is_live_again(gated: Service, gate: Path) -> None:
    gate.write_text("bad")
    request = submit(gated, 2, "gated", gate)
    assert (await all_events(gated, request))[-1][1]["tasks"]["failed"] == 2
    gate.write_text("wait")
    gated.post(f"/score-requests/{request}/retry", {})
    async with listening(gated, request) as response:
        events = server_sent(response.content.iter_any())
        _, first = await anext(events)
        assert orjson.loads(first)["status"] == "running"
        gate.write_text("good")
        snapshots = [orjson.loads(data) async for _, data in events]
    assert snapshots[-1]["tasks"]["succeeded"] == 2


async def test_1000_listeners_of_one_request_all_hear_its_end(shared: Service) -> None:
    request = submit(shared, 1200, "patient")
    async with aiohttp.ClientSession(shared.url, connector=aiohttp.TCPConnector(limit=0)) as session:

        async def listen() -> Any:
            async with session.get(f"/score-requests/{request}/events") as response:
                return [orjson.loads(data) async for _, data in server_sent(response.content.iter_any())][-1]

        last = await asyncio.gather(*(listen() for _ in range(1000)))
    assert {snapshot["status"] for snapshot in last} == {"completed"}
    assert without_times(last[0]) == without_times(shared.status(request))


async def test_who_leaves_leaves_no_error_behind(gated: Service, gate: Path) -> None:
    request = submit(gated, 2, "gated", gate)
    for _ in range(20):
        async with listening(gated, request) as response:
            await response.content.readany()
    gate.write_text("go")
    assert (await all_events(gated, request))[-1][1]["status"] == "completed"
    assert "Error handling request" not in gated.log()


async def test_a_proxy_that_speaks_http_1_0_gets_the_bare_stream(shared: Service) -> None:
    request = submit(shared, 50, "patient")
    reader, writer = await asyncio.open_connection("127.0.0.1", int(shared.url.rpartition(":")[2]))
    writer.write(f"GET /score-requests/{request}/events HTTP/1.0\r\n\r\n".encode())
    head, _, body = (await asyncio.wait_for(reader.read(), 60)).partition(b"\r\n\r\n")
    writer.close()
    assert head.startswith(b"HTTP/1.0 200 ")
    fields = {line.partition(b": ")[0] for line in body.splitlines() if line}
    assert fields == {b"retry", b"id", b"data"}
    assert b'"status":"completed"' in body


@kafka_only
async def test_a_client_goes_on_at_another_worker(gated: Service, gate: Path) -> None:
    second = gated.another().start()
    request = submit(gated, 20, "gated", gate)
    async with listening(gated, request) as response:
        event_id, _ = await anext(server_sent(response.content.iter_any()))
        gated.kill()
        with pytest.raises(aiohttp.ClientError):
            await response.read()
    gate.write_text("go")
    for _ in attempts(60):
        async with listening(second, request, **{"Last-Event-ID": event_id}) as response:
            if response.status != 200:
                continue
            events = [data async for _, data in server_sent(response.content.iter_any())]
        if events and orjson.loads(events[-1])["status"] == "completed":
            break
    assert orjson.loads(events[-1])["tasks"]["succeeded"] == 20
