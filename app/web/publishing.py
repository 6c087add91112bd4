"""What may be published as a scorer, and that it is kept as it was given."""

import asyncio
from typing import Any

from aiohttp import web
from pydantic import ValidationError

from app.events import ScorerPublished, decode_scorer
from app.judges.askable import refusal, wrong_provider
from app.judges.policy import complete
from app.judges.prices import lacks_price, never_tells_cost
from app.scorers import BadRef, BoundScorer, InvalidOutput, Policy, Registry, UnknownKind
from app.scorers.outputs import TooLong
from app.scorers.outputs import encode as encode_plainly
from app.structs import MAX_DEPTH
from app.web.errors import ApiError, problem
from app.web.refusals import refused
from tables import scorers

REGISTRY: web.AppKey[Registry] = web.AppKey("registry", Registry)

_MAX_BYTES = 1024**2


def bind(registry: Registry, name: str, kind: str, params: dict[str, Any]) -> BoundScorer:
    """The scorer with these parameters, which are kept as its digest is made of them. Raises ApiError, 422 or 413."""
    check_kept(params, "The parameters are", "body", "params")
    try:
        bound = registry.bind(name, kind, params)
    except UnknownKind as error:
        raise problem(422, ["body", "kind"], str(error), "unknown_kind") from None
    except ValidationError as error:
        params_of_kind = registry.kinds()[kind].params_schema.get("properties", ())
        raise refused(error, "body", "params", known={(): params_of_kind}) from None
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


def check_cache(bound: BoundScorer, policy: Policy) -> None:
    """Return if the scorer has judgements to use again, where that is wanted. Raises ApiError, 422."""
    if policy.cache and not bound.has_questions:
        message = f"Scorers of kind {bound.kind} have no judgements that could be used again: leave `cache` out"
        raise problem(422, ["body", "policy", "cache"], message, "cache_without_questions")


async def check_askable(bound: BoundScorer, policy: Policy, project_id: str | None, digest: str, *loc: str) -> None:
    """Return unless the scorer could ask nobody, by settings or by itself, or its policy cannot have that provider.

    What was published so may be published again, as programs do at each start. Workers have the same settings, or one
    would fail what another one scores: so this one speaks for all. Raises ApiError, 422.
    """
    why = await asyncio.to_thread(refusal, bound)  # which may load a package
    if why is None:
        why, loc = wrong_provider(bound, policy), ("body", "policy", "provider")
    if why is None:
        return
    known = await scorers.find_version(project_id, bound.name, digest)
    if known is None or known.policy.get("provider") != policy.provider:
        raise problem(422, loc, f"It cannot be published: {why}", why.type)


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


def _too_large() -> ApiError:
    return problem(413, ["body", "params"], "The parameters are larger than 1 MiB", "params_too_large")
