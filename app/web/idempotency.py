"""`Idempotency-Key`: the same key is the same request, however often, to whichever worker and how late it is sent."""

import hashlib
import json

import msgspec
import orjson
from aiohttp import web

from app import cluster, ids, topics
from app.events import RequestAccepted, RequestClaimed
from app.slices import Turns
from app.web import log_writes
from app.web.accepted import ACCEPTED
from app.web.errors import ApiError, check_id, problem
from tables import claims, requests

HEADER = "Idempotency-Key"
_BATCH = 256  # ids between two looks at the clock


def key_in(request: web.Request) -> str | None:
    """The key that was sent, if one was.

    Raises:
        ApiError: 422, it cannot be an id.
    """
    key = request.headers.get(HEADER)
    return None if key is None else check_id(key, "Key", "header", HEADER)


def request_id_of(project_id: str, user: str | None, key: str) -> str:
    """The id of the request under a key, which is the user's own in each project."""
    return ids.digest("request", project_id, user or "", key)


async def digest_of(call_ids: list[str], scorer_refs: list[str], occasion: str, turns: Turns) -> str:
    """32 hex digits over what was sent beside the project, to tell whether it was the same."""
    # json, since a ref may hold what orjson cannot write: it is refused only later.
    hasher = hashlib.blake2b(json.dumps([scorer_refs, occasion, len(call_ids)]).encode(), digest_size=16)
    for begin in range(0, len(call_ids), _BATCH):
        hasher.update(orjson.dumps(call_ids[begin : begin + _BATCH]))
        await turns.breathe()
    return hasher.hexdigest()


async def find_accepted(request: web.Request, request_id: str, body: str) -> RequestAccepted | None:
    """The header under a request id, if what was sent then has the digest `body`.

    Raises:
        ApiError: 422, something else was sent.
    """
    header = request.app[ACCEPTED].get(request_id) or await requests.find_header(request_id)
    if header is not None and header.body != body:
        raise _used()
    return header


async def claim(wanted: RequestClaimed) -> RequestClaimed:
    """Claim a request id; returns the claim that was the first of all.

    Raises:
        ApiError: 422, that claim was for something else; 503, the log or the tables cannot take it now.
    """
    key = wanted.request_id.encode()
    await log_writes.write_seen(topics.score_requests, key, wanted.encode())
    first = msgspec.convert(await cluster.owner(claims.find, key, wanted.request_id), RequestClaimed)
    if first.body != wanted.body:
        raise _used()
    return first


def _used() -> ApiError:
    message = "This key was used for another request; a new request needs a new key"
    return problem(422, ["header", HEADER], message, "idempotency_key_reused")
