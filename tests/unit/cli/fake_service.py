"""A local server that answers like the service, and at first as a test tells it to."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

Answer = tuple[int, dict[str, str], bytes]
REFUSAL = "callscore:///scorer/refusal:00000000000000000000000000000001"


@dataclass
class FakeService:
    """What was sent, and what is to be answered."""

    url: str = ""
    first: list[Answer] = field(default_factory=list)
    """Answers given to the first requests, whatever they are."""
    refuse: set[str] = field(default_factory=set)
    """Ids of calls that are refused with 422."""
    hold_after: int | None = None
    """So many batches are answered, the others never; `held` says that one is not."""
    held: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    looked: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once a request's progress was asked for."""
    quiet_streams: int = 0
    """So many streams of progress, after the first, end after a tenth of a second without an event."""
    seen: list[web.Request] = field(default_factory=list)
    batches: list[bytes] = field(default_factory=list)
    calls: dict[str, dict[str, Any]] = field(default_factory=dict)
    scorers: list[dict[str, Any]] = field(default_factory=list)
    rules: list[dict[str, Any]] = field(default_factory=list)
    submitted: list[dict[str, Any]] = field(default_factory=list)
    ordered: list[tuple[str, str, Any]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    tasks: list[dict[str, Any]] = field(default_factory=list)
    scores: list[dict[str, Any]] = field(default_factory=list)
    scores_by: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Where only those by a scorer ref are asked for, these; else `scores`."""
    of_other_times: list[dict[str, Any]] = field(default_factory=list)
    """Scores that are there only where no time is asked for."""
    gaps: dict[str, list[str]] = field(default_factory=dict)
    """Calls that lack a score, by scorer ref."""
    kinds: list[dict[str, Any]] = field(default_factory=list)
    summary: list[dict[str, Any]] = field(default_factory=list)
    cost: dict[str, Any] | None = None
    costs: dict[str, Any] = field(default_factory=lambda: {"items": [], "total": None})
    summary_of_other_times: list[dict[str, Any]] = field(default_factory=list)
    status: str = "completed"
    reused: int = 0
    page: int = 1000

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self._as_told], client_max_size=32 << 20)
        app.router.add_post("/v2/{entity}/{project}/calls/complete", self._complete)
        app.router.add_get("/calls", self._calls)
        app.router.add_get("/scorers", lambda request: self._list(request, self.scorers))
        app.router.add_get("/scorers/kinds", lambda request: self._whole({"items": self.kinds, "next_cursor": None}))
        app.router.add_get("/scorers/costs", lambda request: self._whole(self.costs))
        app.router.add_post("/scorers", self._publish)
        app.router.add_get("/rules", lambda request: self._list(request, self.rules))
        app.router.add_post("/rules", self._set_rule)
        app.router.add_get("/rules/{id}/calls", lambda request: self._list(request, []))
        app.router.add_post("/rules/{id}/{order:pause|resume|remove}", lambda request: self._whole(self.rules[0]))
        app.router.add_post("/calls/score", self._submit)
        app.router.add_get("/score-requests", lambda request: self._list(request, [self._request("r0")]))
        app.router.add_get("/score-requests/{id}", self._find)
        app.router.add_post("/score-requests/{id}/{order:cancel|retry}", self._order)
        app.router.add_get("/score-requests/{id}/events", self._follow)
        app.router.add_get("/score-requests/{id}/tasks", self._tasks)
        app.router.add_get("/scores", self._scores)
        app.router.add_get("/scores/gaps", self._gaps)
        app.router.add_get("/scores/gaps/summary", self._gaps_summary)
        app.router.add_get("/scores/summary", self._summary)
        return app

    @web.middleware
    async def _as_told(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        self.seen.append(request)
        self.asked.set()
        if self.first:
            status, headers, body = self.first.pop(0)
            return web.Response(status=status, headers=headers, body=body, content_type="application/json")
        return await handler(request)

    async def _complete(self, request: web.Request) -> web.Response:
        body = await request.read()
        if self.hold_after is not None and len(self.batches) >= self.hold_after:
            self.held.set()
            await asyncio.Event().wait()
        self.batches.append(body)
        batch = orjson.loads(body)["batch"]
        refused = [call["id"] for call in batch if call["id"] in self.refuse]
        for call in batch:
            if call["id"] not in self.refuse:
                self.calls.setdefault(call["id"], call)
        if refused:
            return web.json_response({"reason": f"call {refused[0]} is refused"}, status=422)
        return web.json_response({})

    async def _summary(self, request: web.Request) -> web.Response:
        return await self._whole(
            {"items": self.summary + ([] if "as_of" in request.query else self.summary_of_other_times)}
        )

    async def _calls(self, request: web.Request) -> web.Response:
        wanted = request.query.get("call_id")
        return await self._list(request, [call for name, call in self.calls.items() if wanted in (None, name)])

    async def _list(self, request: web.Request, items: list[dict[str, Any]]) -> web.Response:
        start = int(request.query.get("cursor", "0"))
        end = start + min(int(request.query["limit"]), self.page)
        return web.json_response(
            {"items": items[start:end], "next_cursor": str(end) if end < len(items) else None}, dumps=_dumps
        )

    async def _scores(self, request: web.Request) -> web.Response:
        found = self.scores + ([] if "as_of" in request.query else self.of_other_times)
        return await self._list(request, self.scores_by.get(request.query.get("scorer_ref", ""), found))

    async def _tasks(self, request: web.Request) -> web.Response:
        status = request.query.get("status")
        return await self._list(request, [task for task in self.tasks if task.get("status", status) == status])

    async def _gaps(self, request: web.Request) -> web.Response:
        gaps = [{"call_id": call, "reason": "never_asked"} for call in self.gaps[request.query["scorer_ref"]]]
        return await self._list(request, gaps)

    async def _gaps_summary(self, request: web.Request) -> web.Response:
        gaps = len(self.gaps[request.query["scorer_ref"]])
        reasons = {"never_asked": gaps} if gaps else {}
        return await self._whole({"calls": len(self.calls), "scored": len(self.calls) - gaps, "reasons": reasons})

    async def _whole(self, body: dict[str, Any]) -> web.Response:
        return web.json_response(body, dumps=_dumps)

    async def _publish(self, request: web.Request) -> web.Response:
        body = await request.json()
        scorer = {"ref": f"callscore:///scorer/{body['name']}:1", "description": "", "project_id": None, **body}
        self.scorers.append(scorer)
        return web.json_response(scorer, status=201)

    async def _set_rule(self, request: web.Request) -> web.Response:
        counts = {"calls": dict.fromkeys(("matched", "sampled", "sampled_out"), 0)}
        rule = {"rule_id": "id", "status": "active", **await request.json(), **counts}
        self.rules.append(rule)
        return web.json_response(rule, status=201)

    async def _submit(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.submitted.append(body)
        request_id = f"r{len(self.submitted) - 1}"
        return web.json_response({"request_id": request_id, "status_url": f"/score-requests/{request_id}", "tasks": 1})

    async def _find(self, request: web.Request) -> web.Response:
        self.looked.set()
        return web.json_response(self._request(request.match_info["id"]))

    async def _order(self, request: web.Request) -> web.Response:
        self.ordered.append((request.match_info["order"], request.match_info["id"], await request.json()))
        return web.json_response(self._request(request.match_info["id"]))

    async def _follow(self, request: web.Request) -> web.StreamResponse:
        """One snapshot, and then the stream ends, whether the request has or not."""
        self.looked.set()
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        if "Last-Event-ID" in request.headers and self.quiet_streams:
            self.quiet_streams -= 1
            await response.write(b"retry: 1\n\n")
            await asyncio.sleep(0.1)
            return response
        snapshot = orjson.dumps(self._request(request.match_info["id"]))
        await response.write(b"retry: 1\n\nid: 1\ndata: " + snapshot + b"\n\n")
        await response.write_eof()
        return response

    def _request(self, request_id: str) -> dict[str, Any]:
        states = dict.fromkeys(
            ("queued", "waiting_for_call", "running", "retrying", "paused", "succeeded", "failed", "cancelled"), 0
        )
        tasks = {"total": sum(self.counts.values()), **states, **self.counts, "reused": self.reused}
        return {
            "request_id": request_id, "project_id": "a/b", "status": self.status, "tasks": tasks,
            "scorer_refs": [REFUSAL], "requested_by": None, "requested_at": "2026-01-01T00:00:00Z",
            "finished_at": "2026-01-01T00:00:01Z", "rate": 1.0, "eta": None, "cost": self.cost,
        }  # fmt: skip


def _dumps(value: Any) -> str:
    return orjson.dumps(value).decode()


def problem(status: int, msg: str, *loc: str | int) -> Answer:
    """An error as the service words it."""
    return status, {}, orjson.dumps({"detail": [{"loc": loc, "msg": msg, "type": "t"}]})


def scorer(name: str, ref: str, project: str | None = None) -> dict[str, object]:
    return {"ref": ref, "name": name, "kind": "k", "description": "d", "params": {}, "project_id": project}


def score(call: str, **more: object) -> dict[str, object]:
    return {
        "project_id": "a/b", "call_id": call, "scorer_ref": REFUSAL, "scorer_name": "refusal", "status": "succeeded",
        "output": {"passed": True}, "attempts": 1, "revision": 1, "scored_at": "2026-01-01T00:00:00Z",
        "op_name": "answer", "lineage": {}, **more,
    }  # fmt: skip


def summarized(ref: str, group: str | None, outputs: dict[str, object], failed: int = 0) -> dict[str, object]:
    name = ref.rpartition("/")[2].partition(":")[0]
    succeeded = 2 if outputs else 0
    return {
        "scorer_ref": ref, "scorer_name": name, "group": group, "succeeded": succeeded, "failed": failed,
        "failures": {"E": failed} if failed else {}, "outputs": outputs, "outputs_complete": True,
    }  # fmt: skip
