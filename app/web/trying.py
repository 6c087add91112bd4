"""`POST /scorers/try`: runs a scorer once on a logged call, before it is paid for often, and records nothing."""

import time
from functools import partial
from typing import Any, Self

import orjson
from aiohttp import web
from pydantic import BaseModel, ConfigDict, model_validator

from app import cluster, ids, topics
from app.days import DAY, day_of
from app.events import Error, ScorerPublished
from app.judges.policy import complete
from app.scorers import BoundScorer, Policy, Registry, Report, Runner, ScorerError, parse_ref
from app.scorers.report import picodollars
from app.settings import get_settings
from app.usage import Usage
from app.web import catching_up
from app.web.auth import check_write
from app.web.bodies import decode_exactly, read_object, validate
from app.web.costs import cost
from app.web.errors import check_id, not_found, problem
from app.web.publishing import REGISTRY, bind
from app.web.refusals import refused
from app.web.resolve import resolved
from app.web.responses import json_response, timestamp
from tables import calls, pauses, scorers, spending

RUNNER: web.AppKey[Runner] = web.AppKey("runner", Runner)


class ScorerTrial(BaseModel):
    """A logged call, and either a published scorer or a `kind` with `params`."""

    model_config = ConfigDict(extra="forbid")

    project_id: str
    call_id: str
    scorer_ref: str | None = None
    kind: str | None = None
    params: dict[str, Any] = {}

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if (self.scorer_ref is None) == (self.kind is None) or (self.scorer_ref is not None and self.params):
            raise ValueError("name either scorer_ref, or kind and params")
        return self


async def try_scorer(request: web.Request) -> web.Response:
    """Run a scorer once, outside limits, breakers and budgets, but not beyond its spend cap."""
    refuse = partial(refused, known={(): ScorerTrial.model_fields})
    body = validate(ScorerTrial, await read_object(request, decode_exactly), refuse)
    check_id(body.project_id, "Project id", "body", "project_id")
    check_id(body.call_id, "Call id", "body", "call_id")
    check_write(request, body.project_id)
    bound = await _scorer(request, body)
    await _check_cap(body.project_id, bound)
    key = ids.call_key(body.project_id, body.call_id)
    call = await cluster.owner(calls.find_call, key, body.project_id, body.call_id)
    if call is None:  # perhaps it was logged just now
        await catching_up.seen(topics.calls, key)
        call = await cluster.owner(calls.find_call, key, body.project_id, body.call_id)
    if call is None:
        raise not_found("Call", "body", "call_id")
    tried = await _run(request.app[RUNNER], bound, call)
    return json_response({**tried, "saved_since": request.app[REGISTRY].is_saved_since(bound.kind)})


async def _scorer(request: web.Request, body: ScorerTrial) -> BoundScorer:
    """The scorer, with the policy that its tasks have in the project."""
    registry = request.app[REGISTRY]
    if body.scorer_ref is None:
        assert body.kind is not None
        return complete(bind(registry, body.kind, body.kind, body.params), Policy())
    ref = await resolved(request, body.project_id, body.scorer_ref, "body")
    for bound in registry.parameterless():
        if bound.ref == ref:
            return complete(bound, Policy())
    parsed = parse_ref(ref)
    version = await scorers.find_usable(body.project_id, parsed.name, parsed.digest)
    if version is None or version.ref != ref:
        raise problem(422, ["body", "scorer_ref"], f"{ref} is gone.", "scorer_ref_not_found")
    return complete(_bound(registry, ref, version), Policy.model_validate(version.policy))


def _bound(registry: Registry, ref: str, version: ScorerPublished) -> BoundScorer:
    try:
        return registry.bind_published(ref, version)
    except Exception as error:  # a user's validator may raise anything
        message = f"{ref} cannot be run here: {error}"
        raise problem(422, ["body", "scorer_ref"], message, "scorer_version_unavailable") from None


async def _check_cap(project_id: str, bound: BoundScorer) -> None:
    """Return unless the scorer has spent today what it may cost. Raises ApiError, 409."""
    cap = bound.policy.usd_per_day
    if cap is None:
        return
    day = day_of(time.time(), get_settings().day_start)
    costs = cluster.whole(await cluster.everywhere(spending.spent, [(project_id, bound.ref)], day))
    spent = sum(cost for [cost] in costs.values())
    # A worker may know that it is reached by reckoning with requests that got no answer.
    if spent >= picodollars(cap * 1_000_000) or pauses.reached_cap(project_id, bound.ref) == cap:
        message = (
            f"The {cap:g} USD a day that this scorer may cost in this project are spent; the day ends at "
            f"{timestamp(day + DAY)}"
        )
        raise problem(409, ["body", "scorer_ref"], message, "spend_cap_reached")


async def _run(runner: Runner, bound: BoundScorer, call: dict[str, Any]) -> dict[str, Any]:
    lacking = calls.without_output(call)
    report = Report(("", "", bound.ref, ids.new_request_id()))  # of no task, and unlike all others
    started = time.perf_counter()
    shown: dict[str, Any] = {"scorer_ref": bound.ref}
    if lacking is not None:
        shown |= {"status": "failed", "error": lacking.as_dict() | {"retryable": False}}
    else:
        try:
            output = orjson.loads(await runner.run(bound, call, report))
            shown |= {"status": "succeeded", "output": output}
        except ScorerError as error:
            shown |= {"status": "failed", "error": Error.of(error).as_dict() | {"retryable": error.retryable}}
    seconds = time.perf_counter() - started
    shown["lineage"] = {
        **report.lineage,
        "scorer_kind": bound.kind,
        "scorer_digest": bound.digest,
        "latency_ms": round(seconds * 1000, 3),
        "cost": cost(Usage.of(report)),
    }
    return shown
