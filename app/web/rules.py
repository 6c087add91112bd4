"""`/rules`: which calls are scored as they are logged, and what was decided about each."""

import math
import time
from functools import partial
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from app import cluster, ids, topics
from app.events import RuleSet
from app.rules import PATH, rule_id
from app.web import catching_up, log_writes
from app.web.auth import USER, check_read, check_write
from app.web.bodies import AtMost, read_object, validate
from app.web.errors import ApiError, check_id, not_found, problem
from app.web.paging import collect, listing, page_of
from app.web.queries import Id, PageQuery, Query, parse
from app.web.refusals import refused
from app.web.resolve import RESOLVER
from app.web.responses import json_response, timestamp
from tables import rules
from tables.calls import encode
from tables.rules import Decision

_NAMED = ("path", "rule_id")
_KEPT = ("rule_id", "project_id", "name", "scorer_refs", "where", "sample_rate")  # by all but POST /rules
_MOST = 100

_MOST_EVER = 1_000  # removed ones included
_MOST_BYTES = 16 * 1024  # of conditions

Scalar = str | bool | int | float | None
Copy = dict[str, Any] | None


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
    where: Annotated[dict[ConditionName, JsonValue], AtMost(_MOST)] = {}
    sample_rate: Annotated[float, Field(gt=0, le=1)] = 1.0


class RulesQuery(PageQuery):
    project_id: Id | None = None

    def gave(self, key: str) -> bool:
        return ids.is_below(key, *([] if self.project_id is None else [self.project_id]), names=2)


class DecisionsQuery(PageQuery):
    decision: Decision | None = None

    def gave(self, key: str) -> bool:
        return ids.is_below(key, names=1)


async def set_rule(request: web.Request) -> web.Response:
    """201 once calls that are logged from now on are judged by it; 200 if it replaced another."""
    refuse = partial(refused, known={(): RulePublication.model_fields})
    body = validate(RulePublication, await read_object(request), refuse)
    check_id(body.name, "Name", "body", "name")
    check_id(body.project_id, "Project id", "body", "project_id")
    check_write(request, body.project_id)
    _check_values(body.where)
    refs, unresolved = await request.app[RESOLVER].resolve_all(body.project_id, body.scorer_refs, "scorer_refs")
    if unresolved:
        raise ApiError(422, unresolved)
    wanted: dict[str, Any] = {
        "scorer_refs": refs,
        "where": body.where,
        "sample_rate": body.sample_rate,
        "status": "active",
    }
    copies = await _all_copies(rule_id(body.project_id, body.name))
    is_new = all(copy is None or copy["status"] == "removed" for copy in copies)
    if all(copy is not None and _is_same(copy, wanted) for copy in copies):
        return json_response(_shape(copies))  # programs set the same rule at each start
    if is_new:
        await _check_number(body.project_id)
    event = RuleSet(
        control_id=ids.new_request_id(),
        rule_id=rule_id(body.project_id, body.name),
        project_id=body.project_id,
        name=body.name,
        **wanted,
        asked_by=request[USER].name,
        asked_at=_after(copies),
    )
    return await _set(event, 201 if is_new else 200)


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
    """The rules of a project, or of all that the key may use, by project and name."""
    query = parse(RulesQuery, request)
    if query.project_id is not None:
        check_read(request, query.project_id)
    if query.after is None:
        await catching_up.seen_by_who_answers(topics.controls)
    found: dict[str, list[Copy]] = {}
    for part in (await cluster.everywhere(rules.listing, query.project_id, list(request[USER].projects))).values():
        for rule in part:
            found.setdefault(f"{rule['project_id']}\0{rule['name']}", []).append(rule)
    keyed = [(key, _shape(copies)) for key, copies in found.items()]
    return json_response(page_of(keyed, query.after, query.limit))


async def get_rule(request: web.Request) -> web.Response:
    """One rule, also if it was removed."""
    parse(Query, request)
    return json_response(_shape(await _readable(request)))


async def list_decisions(request: web.Request) -> web.Response:
    """The calls that the rule matched, by id: those in its sample, and those left out of it."""
    query = parse(DecisionsQuery, request)
    rule = _newest(await _readable(request))
    if query.after is None:
        await catching_up.seen_by_who_answers(topics.score_requests)
    found, next_key = await collect(rules.page, query.after, query.limit, rule["rule_id"], query.decision)
    items = [item | {"at": timestamp(item["at"])} for item in found]
    return json_response(listing(items, next_key))


def _check_values(where: dict[str, Any]) -> None:
    """Return if every condition has a value, or a list of values, and all fit. Raises ApiError, 422."""
    for name, wanted in where.items():
        values = wanted if isinstance(wanted, list) else [wanted]
        if not values or not all(map(_is_scalar, values)):
            message = f"{name} must be text, a finite number, true, false or null, or a list of these"
            raise problem(422, ["body", "where", name], message, "invalid_condition")
    try:
        size = len(encode(where))
    except TypeError:  # a number beyond 64 bits, or a lone surrogate
        raise problem(422, ["body", "where"], "These conditions cannot be stored", "invalid_condition") from None
    if size > _MOST_BYTES:
        message = (
            f"The conditions have {size} bytes, more than {_MOST_BYTES}: put what they have in common in an attribute"
        )
        raise problem(422, ["body", "where"], message, "too_long")


def _is_scalar(value: Any) -> bool:
    return isinstance(value, Scalar) and not (isinstance(value, float) and not math.isfinite(value))


async def _check_number(project_id: str) -> None:
    """Return if the project may have another rule. Raises ApiError, 422."""
    key = ids.join_key(project_id)
    ever = await cluster.owner(rules.number, key, project_id)
    if ever >= _MOST_EVER:
        message = f"The project has had {ever} rules, which are kept; replace one, or give a removed one's name to this"
        raise problem(422, ["body", "name"], message, "too_many")
    found = await cluster.owner(rules.listing, key, project_id, [])
    if len(found) >= _MOST:
        message = f"The project has {len(found)} rules already, which each call is judged by; remove one first"
        raise problem(422, ["body", "name"], message, "too_many")


def _after(copies: list[Copy]) -> float:
    """Now, but after the last change of a rule, whatever the clock of the worker that made it."""
    return max([time.time(), *(copy["asked_at"] + 0.001 for copy in copies if copy is not None)])


async def _change(request: web.Request, status: Literal["active", "paused", "removed"]) -> web.Response:
    """Give the rule in the path another status."""
    parse(Query, request)
    await _readable(request)
    copies = await _all_copies(request.match_info["rule_id"])
    rule = _newest(copies)
    if rule["status"] == "removed" and status != "removed":
        raise problem(409, _NAMED, "The rule was removed; set it again", "rule_removed")
    if all(copy is not None and copy["status"] == status for copy in copies):
        return json_response(_shape(copies))
    same = {name: rule[name] for name in ("control_id", *_KEPT)}
    event = RuleSet(
        control_id=ids.new_request_id(),
        **{name: rule[name] for name in _KEPT},
        status=status,
        only_status=all(copy is not None and _is_same(copy, same) for copy in copies),
        asked_by=request[USER].name,
        asked_at=_after(copies),
    )
    return await _set(event, 200)


async def _set(event: RuleSet, status: int) -> web.Response:
    """Write a copy of the rule to every partition, and answer with it once all have it. Raises ApiError, 409 or 503."""
    await log_writes.everywhere(topics.controls, event.rule_id.encode(), event.encode())
    copies = await _all_copies(event.rule_id)
    newest = _newest(copies)
    wanted = {name: newest[name] for name in _KEPT} | {"control_id": event.control_id, "status": event.status}
    if any(copy is not None and not _is_same(copy, wanted) for copy in copies):
        message = "The rule was changed by somebody else at the same moment; look at it, and send this again"
        raise problem(409, [], message, "rule_changed")
    return json_response(_shape(copies), status=status)


async def _readable(request: web.Request) -> list[Copy]:
    """The copies of the rule in the path. Raises ApiError, 404 if there is none, or it is another's."""
    rule_id = request.match_info["rule_id"]
    copies = await _copies(rule_id) if ids.is_digest(rule_id) else []
    if not any(copies):
        raise not_found("Rule", *_NAMED)
    check_read(request, _newest(copies)["project_id"], "Rule", _NAMED)
    return copies


def _is_same(copy: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether a rule is what is wanted, as JSON has it: true is not 1."""
    kept = {name: copy[name] for name in wanted}
    return encode(kept) == encode(wanted)


async def _all_copies(rule_id: str) -> list[Copy]:
    """As `_copies`, of all partitions and up to date. Raises ApiError or Unavailable: a worker is away or behind."""
    await catching_up.seen_by_all(topics.controls)
    return list(cluster.whole(await cluster.everywhere(rules.find, rule_id)).values())


async def _copies(rule_id: str) -> list[Copy]:
    """A rule as each partition has it, None where it has not, or does not answer."""
    found = await cluster.everywhere(rules.find, rule_id)
    return [found.get(partition) for partition in range(topics.partitions())]


def _newest(copies: list[Copy]) -> dict[str, Any]:
    there = [copy for copy in copies if copy is not None]
    return max(there, key=lambda copy: (copy["asked_at"], copy["control_id"]))


def _shape(found: list[Copy]) -> dict[str, Any]:
    """The newest copy of a rule as clients see it, with the counts of all."""
    newest, copies = _newest(found), [copy for copy in found if copy is not None]
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
        "created_at": timestamp(min(copy["created_at"] for copy in copies)),
        "calls": {"matched": matched, "sampled": sampled, "sampled_out": matched - sampled},
        "last_matched_at": timestamp(last_at) if last_at else None,
    }
