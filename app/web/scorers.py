"""`/scorers`: what can be applied to calls, and publishing more."""

import asyncio
import time
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from app import cluster, ids, topics
from app.events import ScorerPublished, decode_scorer
from app.judges.askable import refusal, wrong_provider
from app.judges.policy import complete
from app.judges.prices import lacks_price, never_tells_cost
from app.scorers import BadRef, BoundScorer, InvalidOutput, Policy, Registry, UnknownKind
from app.scorers.outputs import TooLong
from app.scorers.outputs import encode as encode_plainly
from app.structs import MAX_DEPTH
from app.web import log_writes
from app.web.auth import USER, check_all_projects, check_read, check_write
from app.web.bodies import decode_exactly, read_object, validate
from app.web.errors import ApiError, check_id, problem
from app.web.paging import listing, page_of
from app.web.queries import Id, PageQuery, Query, parse
from app.web.refusals import refused
from app.web.responses import json_response
from tables import scorers

REGISTRY: web.AppKey[Registry] = web.AppKey("registry", Registry)


class ScorersQuery(PageQuery):
    project_id: Id | None = None

    @property
    def projects(self) -> list[str | None]:
        """Whose scorers are listed, in this order, in front of those that are there from the start."""
        return [None] if self.project_id is None else [self.project_id, None]

    def gave(self, key: str) -> bool:
        published = range(len(self.projects))
        return ids.is_below(key, str(len(published)), names=2) or any(
            ids.is_below(key, str(place), names=5) for place in published
        )


class ScorerPublication(BaseModel):
    """A scorer to publish; without a project_id it is for all projects.

    `policy` says how it is run and is not part of its ref: publish again to change it.
    """

    model_config = ConfigDict(extra="forbid")

    name: str
    kind: str
    params: dict[str, Any] = {}
    project_id: str | None = None
    policy: Policy = Policy()


async def list_scorers(request: web.Request) -> web.Response:
    """The project's scorers, then those of no project, then those that are there from the start."""
    query = parse(ScorersQuery, request)
    if query.project_id is not None:
        check_read(request, query.project_id)
    after = query.after
    keyed: list[tuple[str, Any]] = []
    for place, project in enumerate(query.projects):
        for part in (await cluster.everywhere(scorers.listing, project)).values():
            keyed.extend((f"{place}\0{version['order']}", _shape(version)) for version in part)
    built_in = request.app[REGISTRY].parameterless()
    keyed.extend((f"{len(query.projects)}\0{bound.name}", _shape_of(bound)) for bound in built_in)
    return json_response(page_of(keyed, after, query.limit))


async def list_kinds(request: web.Request) -> web.Response:
    """The kinds that can be published, with the JSON Schema of their parameters."""
    parse(Query, request)
    kinds = sorted(request.app[REGISTRY].kinds().values(), key=lambda kind: kind.name)
    items = [{"kind": kind.name, "description": kind.description, "params": kind.params_schema} for kind in kinds]
    return json_response(listing(items, None))


async def publish_scorer(request: web.Request) -> web.Response:
    """201 once any worker can resolve the ref."""
    body = validate(ScorerPublication, await read_object(request, decode_exactly), _refused)
    _check_names(body)
    if body.project_id is not None:
        check_write(request, body.project_id)
    else:
        message = "Publishing for every project takes a key for every project; name a project_id"
        check_all_projects(request, message, ("body", "project_id"))
    registry = request.app[REGISTRY]
    if any(body.name == bound.name for bound in registry.parameterless()):
        message = f"Scorer {body.name!r} needs no publishing and must mean the same to all; take another name"
        raise problem(422, ["body", "name"], message, "name_taken")
    check_kept(dict(body.policy.given()), "The policy is", "body", "policy")
    bound = bind(registry, body.name, body.kind, body.params)
    check_cap(bound, body.policy, "body", "policy", "usd_per_day")
    _check_cache(bound, body.policy)
    await check_askable(bound, body.policy, body.project_id, bound.digest, "body", "params")
    event = ScorerPublished(
        ref=bound.ref,
        project_id=body.project_id,
        name=bound.name,
        kind=bound.kind,
        params=dict(bound.params),
        digest=bound.digest,
        description=bound.description,
        policy=dict(body.policy.given()),
        published_by=request[USER].name,
        published_at=time.time(),
    )
    await log_writes.write_seen(topics.scorers, ids.scorer_key(body.project_id, bound.name), encode(event))
    return json_response(_shape(event.as_dict()), status=201)


def _refused(error: ValidationError, *prefix: str) -> ApiError:
    return refused(error, {(): ScorerPublication.model_fields, ("policy",): Policy.model_fields}, *prefix)


def _check_names(body: ScorerPublication) -> None:
    check_id(body.name, "Name", "body", "name")
    if ":" in body.name or "/" in body.name:
        raise problem(422, ["body", "name"], "Name must not contain ':' or '/'", "invalid_id")
    if body.project_id is not None:
        check_id(body.project_id, "Project id", "body", "project_id")


def bind(registry: Registry, name: str, kind: str, params: dict[str, Any]) -> BoundScorer:
    """The scorer with these parameters, which are kept as its digest is made of them. Raises ApiError, 422 or 413."""
    check_kept(params, "The parameters are", "body", "params")
    try:
        bound = registry.bind(name, kind, params)
    except UnknownKind as error:
        raise problem(422, ["body", "kind"], str(error), "unknown_kind") from None
    except ValidationError as error:
        params_of_kind = registry.kinds()[kind].params_schema.get("properties", ())
        raise refused(error, {(): params_of_kind}, "body", "params") from None
    except BadRef as error:
        raise problem(422, ["body", "name"], str(error), "invalid_id") from None
    except (ValueError, TypeError, RecursionError) as error:
        raise problem(422, ["body", "params"], f"These parameters cannot be used: {error}", "invalid_params") from None
    check_kept(bound.params, "The parameters are", "body", "params")  # a scorer may read the text "NaN" as a number
    return bound


def check_kept(value: Any, subject: str, *loc: str) -> None:
    """Return if what is kept of `value` will be the very same. Raises ApiError, 422 or 413."""
    try:
        encode_plainly(value, subject, _MAX_BYTES, MAX_DEPTH)
    except TooLong:
        raise _too_large() from None
    except InvalidOutput as error:
        raise problem(422, loc, str(error), "invalid_params") from None


def check_cap(bound: BoundScorer, policy: Policy, *loc: str) -> None:
    """Return if what the scorer costs can be counted, where it has a cap. Raises ApiError, 422."""
    cap = complete(bound, policy).policy.usd_per_day
    if policy.usd_per_day is not None and never_tells_cost(bound.scorer):
        message = f"Scorers of kind {bound.kind} do not tell what they cost, so this cap would never hold; leave it out"
        raise problem(422, loc, message, "cost_unknown")
    if policy.usd_per_day is not None and bound.built_in:
        message = f"Scorers of kind {bound.kind} ask nobody and so cost nothing: leave the cap out"
        raise problem(422, loc, message, "costs_nothing")
    lacks = lacks_price(bound.scorer)
    if cap is not None and lacks is not None:
        message = f"It may cost {cap:g} USD a day, which could not be counted: {lacks}; add it, 0 if it is free"
        raise problem(422, loc, message, "price_unknown")


def _check_cache(bound: BoundScorer, policy: Policy) -> None:
    if policy.cache and not bound.has_questions:
        message = f"Scorers of kind {bound.kind} have no judgements that could be used again: leave `cache` out"
        raise problem(422, ["body", "policy", "cache"], message, "cache_without_questions")


async def check_askable(bound: BoundScorer, policy: Policy, project_id: str | None, digest: str, *loc: str) -> None:
    """Return unless the scorer could ask nobody, by settings or by itself, or its policy cannot have that provider.

    What was published so may be published again, as programs do at each start. Workers have the same settings, or one
    would fail what another one scores: so this one speaks for all. Raises ApiError, 422.
    """
    refused = await asyncio.to_thread(refusal, bound)  # which may load a package
    if refused is None:
        refused, loc = wrong_provider(bound, policy), ("body", "policy", "provider")
    if refused is None:
        return
    known = await scorers.find_version(project_id, bound.name, digest)
    if known is None or known.policy.get("provider") != policy.provider:
        raise problem(422, loc, f"It cannot be published: {refused}", refused.type)


def encode(event: ScorerPublished) -> bytes:
    """The event as bytes. Raises ApiError if it cannot be stored."""
    try:
        encoded = event.encode()
        decode_scorer(encoded)
    except (TypeError, ValueError):  # a lone surrogate, or a number of thousands of digits
        raise problem(422, ["body", "params"], "These parameters cannot be stored", "invalid_params") from None
    if len(encoded) > _MAX_BYTES:
        raise _too_large()
    return encoded


_MAX_BYTES = 1024**2


def _too_large() -> ApiError:
    return problem(413, ["body", "params"], "The parameters are larger than 1 MiB", "params_too_large")


def _shape(version: dict[str, Any]) -> dict[str, Any]:
    return {name: version[name] for name in ("ref", "name", "kind", "description", "params", "project_id", "policy")}


def _shape_of(bound: BoundScorer) -> dict[str, Any]:
    return {
        "ref": bound.ref,
        "name": bound.name,
        "kind": bound.kind,
        "description": bound.description,
        "params": dict(bound.params),
        "project_id": None,
        "policy": dict(bound.policy.given()),
    }
