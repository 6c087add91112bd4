"""A local server that answers like Weave, as far as pulling and pushing need it."""

import asyncio
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import orjson
from aiohttp import web

from app.web.weave.expressions import at_path, compiled

from .fake_service import Answer


@dataclass
class FakeWeave:
    """What is in it, what was sent, and what is to be answered."""

    url: str = ""
    first: list[Answer] = field(default_factory=list)
    """Answers given to the first requests, whatever they are."""
    broken: int = 0
    """So many streams of calls end in the middle of a line."""
    lacks: set[str] = field(default_factory=set)
    """Ids of calls that are listed, and not returned whole."""
    refuse: set[str] = field(default_factory=set)
    """Ids of calls on which feedback is refused."""
    hold_feedback_after: int | None = None
    """So many batches of feedback are answered, the others are kept but never answered; `held` says that one is not."""
    held: asyncio.Event = field(default_factory=asyncio.Event)
    calls: dict[str, dict[str, Any]] = field(default_factory=dict)
    feedback: dict[str, dict[str, Any]] = field(default_factory=dict)
    objects: dict[str, Any] = field(default_factory=dict)
    seen: list[tuple[str, Any]] = field(default_factory=list)
    """The path and the body of each request."""
    authorization: set[str] = field(default_factory=set)
    batches: int = 0

    def application(self) -> web.Application:
        app = web.Application(client_max_size=32 << 20)
        app.router.add_post("/{path:.*}", self._answer)
        return app

    def asked(self, path: str) -> list[Any]:
        """The bodies of the requests to a path."""
        return [body for to, body in self.seen if to == path]

    def log(self, call_id: str, ended_at: str | None = "2026-01-01T00:00:01Z", **more: Any) -> None:
        """Put a call there."""
        started = {"project_id": "a/b", "trace_id": call_id, "op_name": "op", "started_at": "2026-01-01T00:00:00Z"}
        rest = {"attributes": {}, "inputs": {"q": call_id}, "output": f"of {call_id}"}
        summary = {"usage": {}, "weave": {"status": "success", "latency_ms": 1_000}}
        self.calls[call_id] = {"id": call_id, **started, "ended_at": ended_at, **rest, "summary": summary, **more}

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.seen.append((request.path, body))
        self.authorization.add(request.headers["Authorization"])
        if self.first:
            status, headers, answer = self.first.pop(0)
            return web.Response(status=status, headers=headers, body=answer, content_type="application/json")
        if request.path == "/calls/stream_query":
            return await self._stream(request, body)
        if request.path == "/feedback/batch/create":
            return await self._create(body["batch"])
        if request.path == "/feedback/query":
            return web.json_response({"result": [{"id": row["id"]} for row in self._matching(self.feedback, body)]})
        if request.path == "/feedback/purge":
            for row in self._matching(self.feedback, body):
                del self.feedback[row["id"]]
            return web.json_response({})
        if request.path == "/obj/create":
            self.objects[body["obj"]["object_id"]] = body["obj"]["val"]
            return web.json_response({"digest": "d1", "object_id": body["obj"]["object_id"]})
        if request.path == "/obj/read" and body["object_id"] in self.objects:
            return web.json_response({"obj": {"val": self.objects[body["object_id"]]}})
        return web.json_response({"reason": "Not found"}, status=404)

    async def _stream(self, request: web.Request, body: Any) -> web.StreamResponse:
        wanted = (body.get("filter") or {}).get("call_ids")
        found = (
            self._matching(self.calls, body)
            if wanted is None
            else [self.calls[one] for one in wanted if one not in self.lacks]
        )
        found = sorted(found, key=lambda call: str(call["id"]))[: body.get("limit")]
        lines = b"".join(orjson.dumps(call) + b"\n" for call in found)
        response = web.StreamResponse(headers={"Content-Type": "application/jsonl"})
        await response.prepare(request)
        if self.broken:
            self.broken -= 1
            await response.write(lines[: len(lines) // 2])
            assert request.transport is not None
            request.transport.close()
            return response
        await response.write(lines)
        await response.write_eof()
        return response

    async def _create(self, batch: list[dict[str, Any]]) -> web.Response:
        refused = [row for row in batch if row["weave_ref"].rpartition("/")[2] in self.refuse]
        if refused:
            return web.json_response({"reason": "the payload is too large"}, status=400)
        self.batches += 1
        self.feedback |= {row["id"]: row for row in batch}
        if self.hold_feedback_after is not None and self.batches > self.hold_feedback_after:
            self.held.set()
            await asyncio.Event().wait()
        return web.json_response({"res": [{"id": row["id"]} for row in batch]})

    def _matching(self, rows: dict[str, dict[str, Any]], body: Any) -> list[dict[str, Any]]:
        holds = compiled(body["query"]["$expr"])
        return [row for row in rows.values() if holds(partial(at_path, row))]
