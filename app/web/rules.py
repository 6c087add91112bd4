"""`/rules`: which calls are scored as they are logged, and what was decided about each."""

import time
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from app import cluster, ids, topics
from app.events import RuleSet
from app.rules import PATH, rule_id
from app.web import log_writes
from app.web.auth import USER, check_read, check_write
from app.web.bodies import read_object, validate
from app.web.errors import ApiError, check_id, not_found, problem
from app.web.paging import collect, listing, merge
from app.web.queries import Id, PageQuery, Query, parse
from app.web.responses import json_response, timestamp
from app.web.submit import RESOLVER
from tables import rules
from tables.rules import Decision

_NAMED = ("path", "rule_id")
_MOST = 100

Scalar = str | bool | int | float | None


def _condition(name: str) -> str:
    if name != "op_name" and PATH.fullmatch(name) is None:
        raise ValueError("a condition is on op_name, or on a path such as attributes.env or inputs.user.plan")
    return name


ConditionName = Annotated[str, AfterValidator(_condition)]


class RulePublication(BaseModel):
    """A rule to set: it scores the calls of a project that are logged from now on and meet all conditions in `where`.

    A condition names `op_name` (in full, or an op's short name), or a path into `attributes` or `inputs`, and the value
    that a call must have there, or a list of values. A rule of the same name is replaced.
    """

    model_config = ConfigDict(extra="forbid")

    name: str
    project_id: str
    scorer_refs: Annotated[list[str], Field(min_length=1, max_length=_MOST)]
    where: Annotated[dict[ConditionName, JsonValue], Field(max_length=_MOST)] = {}
    sample_rate: Annotated[float, Field(gt=0, le=1)] = 1.0


class RulesQuery(PageQuery):
    project_id: Id

    def gave(self, key: str) -> bool:
        return ids.is_below(key, names=1)


class DecisionsQuery(PageQuery):
    decision: Decision | None = None

    def gave(self, key: str) -> bool:
        return ids.is_below(key, names=1)


async def set_rule(request: web.Request) -> web.Response:
    """201 once calls that are logged from now on are judged by it; 200 if it replaced another."""
    body = validate(RulePublication, await read_object(request))
    check_id(body.name, "Name", "body", "name")
    check_id(body.project_id, "Project id", "body", "project_id")
    check_write(request, body.project_id, "body", "project_id")
    _check_values(body.where)
    refs, unresolved = await request.app[RESOLVER].resolve_all(body.project_id, body.scorer_refs, "scorer_refs")
    if unresolved:
        raise ApiError(422, unresolved)
    known = await _find(rule_id(body.project_id, body.name))
    event = RuleSet(
        control_id=ids.new_request_id(),
        rule_id=rule_id(body.project_id, body.name),
        project_id=body.project_id,
        name=body.name,
        scorer_refs=refs,
        where=body.where,
        sample_rate=body.sample_rate,
        status="active",
        asked_by=request[USER].name,
        asked_at=time.time(),
    )
    return await _set(event, 200 if known is not None and known["status"] != "removed" else 201)


async def pause_rule(request: web.Request) -> web.Response:
    """Let the rule score no further calls until it is resumed."""
    return await _change(request, "paused")


async def resume_rule(request: web.Request) -> web.Response:
    """Let a paused rule score the calls that are logged from now on."""
    return await _change(request, "active")


async def remove_rule(request: web.Request) -> web.Response:
    """Let the rule score no further calls, and list it no more; what it decided is kept."""
    return await _change(request, "removed")


async def list_rules(request: web.Request) -> web.Response:
    """The rules of a project by name."""
    query = parse(RulesQuery, request)
    check_read(request, query.project_id)
    if query.after is None:
        await log_writes.all_seen(topics.controls)
    found: dict[str, list[dict[str, Any]]] = {}
    for part in (await cluster.everywhere(rules.listing, query.project_id)).values():
        for rule in part:
            found.setdefault(rule["name"], []).append(rule)
    items = [(name, _shape(copies)) for name, copies in found.items() if query.after is None or name > query.after]
    return json_response(listing(*merge([{"items": items, "next": None}], query.limit)))


async def get_rule(request: web.Request) -> web.Response:
    """One rule, also if it was removed."""
    parse(Query, request)
    return json_response(await _readable(request))


async def list_decisions(request: web.Request) -> web.Response:
    """The calls that the rule matched, by id: those in its sample, and those left out of it."""
    query = parse(DecisionsQuery, request)
    rule = await _readable(request)
    if query.after is None:
        await log_writes.all_seen(topics.score_requests)
    found, next_key = await collect(rules.page, query.after, query.limit, False, rule["rule_id"], query.decision)
    items = [item | {"at": timestamp(item["at"])} for item in found]
    return json_response(listing(items, next_key))


def _check_values(where: dict[str, Any]) -> None:
    """Return if every condition has a value, or a list of values. Raises ApiError, 422."""
    for name, wanted in where.items():
        for value in wanted if isinstance(wanted, list) else [wanted]:
            if not isinstance(value, Scalar):
                message = f"{name} must be text, a number, true, false or null, or a list of these"
                raise problem(422, ["body", "where", name], message, "invalid_condition")


async def _change(request: web.Request, status: Literal["active", "paused", "removed"]) -> web.Response:
    """Give the rule in the path another status."""
    parse(Query, request)
    rule = await _readable(request)
    check_write(request, rule["project_id"], *_NAMED)
    if rule["status"] == status:
        return json_response(rule)
    if rule["status"] == "removed":
        raise problem(409, _NAMED, "The rule was removed; set it again", "rule_removed")
    known = await _find(rule["rule_id"])
    assert known is not None
    names = set(RuleSet.__struct_fields__) - {"v"}
    last = msgspec.convert({name: known[name] for name in names} | {"type": "RuleSet"}, RuleSet)
    event = last.replace(
        control_id=ids.new_request_id(), status=status, asked_by=request[USER].name, asked_at=time.time()
    )
    return await _set(event, 200)


async def _set(event: RuleSet, status: int) -> web.Response:
    """Write a copy of the rule to every partition, and answer with it once they have it."""
    await log_writes.everywhere(topics.controls, event.rule_id.encode(), event.encode())
    await log_writes.all_seen(topics.controls)
    rule = await _shown(event.rule_id)
    assert rule is not None
    return json_response(rule, status=status)


async def _readable(request: web.Request) -> dict[str, Any]:
    """The rule in the path. Raises ApiError, 404 if there is none, or it is another's."""
    rule = await _shown(request.match_info["rule_id"])
    if rule is None:
        raise not_found("Rule", *_NAMED)
    check_read(request, rule["project_id"], "Rule", _NAMED)
    return rule


async def _find(rule_id: str) -> dict[str, Any] | None:
    return await cluster.owner(rules.find, rule_id.encode(), rule_id)


async def _shown(rule_id: str) -> dict[str, Any] | None:
    """A rule with the counts of all partitions."""
    found = await cluster.everywhere(rules.find, rule_id)
    copies = [rule for rule in found.values() if rule is not None]
    return _shape(copies) if copies else None


def _shape(copies: list[dict[str, Any]]) -> dict[str, Any]:
    """The newest copy of a rule as clients see it, with the counts of all."""
    newest = max(copies, key=lambda copy: (copy["asked_at"], copy["control_id"]))
    matched, sampled = (sum(copy["counts"][name] for copy in copies) for name in ("matched", "sampled"))
    last_at = max(copy["counts"]["last_at"] for copy in copies)
    return {
        "rule_id": newest["rule_id"],
        "project_id": newest["project_id"],
        "name": newest["name"],
        "status": newest["status"],
        "scorer_refs": newest["scorer_refs"],
        "where": newest["where"],
        "sample_rate": newest["sample_rate"],
        "set_by": newest["asked_by"],
        "set_at": timestamp(newest["asked_at"]),
        "created_at": timestamp(min(copy["set_at"] for copy in copies)),
        "calls": {"matched": matched, "sampled": sampled, "sampled_out": matched - sampled},
        "last_matched_at": timestamp(last_at) if last_at else None,
    }
