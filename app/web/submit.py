"""`POST /calls/score`: accept a scoring request (W&B Weave's wire contract)."""

import time
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict

from app import ids, topics
from app.events import RequestAccepted, RequestClaimed
from app.slices import Turns
from app.web import idempotency, log_writes
from app.web.accepted import ACCEPTED
from app.web.auth import USER, check_write
from app.web.bodies import read_json, validate
from app.web.errors import ApiError, check_id, problem
from app.web.resolve import RESOLVER, Resolver
from app.web.responses import json_response
from app.web.splitting import check_call_ids, chunk_event, split

MAX_SCORERS = 1_000  # so that a chunk with its refs stays far below what a record may hold


class CallsScoreReq(BaseModel):
    """The body, field by field as in the contract. `wb_user_id` is accepted and ignored."""

    model_config = ConfigDict(extra="forbid")

    project_id: str
    call_ids: list[str]
    scorer_refs: list[str]
    wb_user_id: str | None = None


async def score_calls(request: web.Request) -> web.Response:
    """200 once the request with all its chunks is durable in the log."""
    turns = Turns()
    body = validate(CallsScoreReq, await read_json(request))
    check_id(body.project_id, "Project id", "body", "project_id")
    check_write(request, body.project_id)
    occasion, key = occasion_in(request), idempotency.key_in(request)
    mistakes = await check_call_ids(body.call_ids, turns)
    if mistakes or key is None:
        request_id, digest = ids.new_request_id(), None
    else:
        request_id = idempotency.request_id_of(body.project_id, request[USER].name, key)
        digest = await idempotency.digest_of(body.call_ids, body.scorer_refs, occasion, turns)
        accepted = await idempotency.find_accepted(request, request_id, digest)
        if accepted is not None:
            return receipt(request, accepted)
    refs, unresolved = await _resolve(request.app[RESOLVER], body)
    if mistakes or unresolved:
        raise ApiError(422, [*mistakes, *unresolved])

    claim = RequestClaimed(
        request_id=request_id,
        body=digest,
        scorer_refs=refs,
        requested_by=request[USER].name,
        requested_at=time.time(),
    )
    if digest is not None:
        claim = await idempotency.claim(claim)
    header = await _write(body.project_id, body.call_ids, occasion, claim, turns)
    request.app[ACCEPTED].add(header)
    return receipt(request, header)


async def _write(
    project_id: str, call_ids: list[str], occasion: str, claim: RequestClaimed, turns: Turns
) -> RequestAccepted:
    """Write the chunks, then the header, which is returned; all is durable then.

    The same arguments give the same events, so that a submission that is sent again may be written again.
    """
    request_id, refs, at = claim.request_id, claim.scorer_refs, claim.requested_at
    calls, chunks = await split(project_id, call_ids, turns)
    log_writes.check(topics.score_requests, {topics.partition_of(request_id.encode()), *(chunk[0] for chunk in chunks)})
    written = []
    for number, chunk in enumerate(chunks if refs else ()):
        event = chunk_event(request_id, number, chunk, project_id, refs, occasion, at)
        key = ids.chunk_key(request_id, number)
        written.append(log_writes.append(topics.score_requests, key, event.encode(), chunk[0]))
        await turns.breathe()
        if log_writes.refused(written[-1:]):
            break
    # Where one order holds, the header cannot be there without what waits in front of it, but without what was refused.
    if not topics.in_one_order() or log_writes.refused(written):
        await log_writes.durable(written)
    header = RequestAccepted(
        request_id=request_id,
        project_id=project_id,
        scorer_refs=refs,
        calls=calls,
        chunks=len(written),
        occasion=occasion,
        requested_by=claim.requested_by,
        requested_at=at,
        body=claim.body,
    )
    written.append(log_writes.append(topics.score_requests, request_id.encode(), header.encode()))
    await log_writes.durable(written)
    return header


def receipt(request: web.Request, header: RequestAccepted) -> web.Response:
    """`{}` as in the contract, or the receipt if the client prefers it."""
    status_url = f"/score-requests/{header.request_id}"
    headers = {"Location": status_url}
    if not prefers_representation(request):
        return json_response({}, headers=headers)
    headers["Preference-Applied"] = "return=representation"
    tasks = header.calls * len(header.scorer_refs)
    return json_response({"request_id": header.request_id, "status_url": status_url, "tasks": tasks}, headers=headers)


def prefers_representation(request: web.Request) -> bool:
    """Whether `Prefer: return=representation` (RFC 7240) was sent; the first `return` counts."""
    for value in request.headers.getall("Prefer", ()):
        for preference in value.split(","):
            name, _, wanted = preference.split(";")[0].partition("=")
            if name.strip().lower() == "return":
                return wanted.strip().strip('"') == "representation"
    return False


def occasion_in(request: web.Request) -> str:
    """The token of a deliberate re-score, or nothing.

    Raises:
        ApiError: 422, it cannot be an id.
    """
    token = request.headers.get("Callscore-Rescore")
    return "" if token is None else check_id(token, "Token", "header", "Callscore-Rescore")


async def _resolve(resolver: Resolver, body: CallsScoreReq) -> tuple[list[str], list[Any]]:
    distinct = dict.fromkeys(body.scorer_refs)
    if len(distinct) > MAX_SCORERS:
        message = f"List should have at most {MAX_SCORERS} different scorers, not {len(distinct)}"
        raise problem(422, ["body", "scorer_refs"], message, "too_long")
    return await resolver.resolve_all(body.project_id, body.scorer_refs, "scorer_refs")
