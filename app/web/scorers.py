"""`/scorers`: what can be applied to calls, and publishing more."""

import time
from functools import partial
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict

from app import cluster, ids, topics
from app.events import ScorerPublished
from app.scorers import BoundScorer, Policy
from app.web import log_writes
from app.web.auth import USER, check_all_projects, check_read, check_write
from app.web.bodies import decode_exactly, read_object, validate
from app.web.errors import check_id, problem
from app.web.paging import listing, page_of
from app.web.publishing import REGISTRY, bind, check_askable, check_cache, check_cap, check_kept, encode
from app.web.queries import Id, PageQuery, Query, parse
from app.web.refusals import refused
from app.web.responses import json_response
from tables import scorers


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
    refuse = partial(refused, known={(): ScorerPublication.model_fields, ("policy",): Policy.model_fields})
    body = validate(ScorerPublication, await read_object(request, decode_exactly), refuse)
    _check_names(body)
    if body.project_id is not None:
        check_write(request, body.project_id)
    else:
        message = "Publishing for every project takes a key for every project; name one project"
        check_all_projects(request, message, ("body", "project_id"))
    registry = request.app[REGISTRY]
    if any(body.name == bound.name for bound in registry.parameterless()):
        message = f"Scorer {body.name!r} needs no publishing and must mean the same to all; take another name"
        raise problem(422, ["body", "name"], message, "name_taken")
    check_kept(dict(body.policy.given()), "The policy is", "body", "policy")
    bound = bind(registry, body.name, body.kind, body.params)
    check_cap(bound, body.policy, "body", "policy", "usd_per_day")
    check_cache(bound, body.policy)
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


def _check_names(body: ScorerPublication) -> None:
    check_id(body.name, "Name", "body", "name")
    if ":" in body.name or "/" in body.name:
        raise problem(422, ["body", "name"], "Name must not contain ':' or '/'", "invalid_id")
    if body.project_id is not None:
        check_id(body.project_id, "Project id", "body", "project_id")


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
