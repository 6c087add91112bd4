"""How a scorer is run, in full: as it was published, else as in its code, else as in the settings."""

import dataclasses

from app.judges.askable import own_provider
from app.scorers import BoundScorer, Policy
from app.settings import get_settings


def complete(bound: BoundScorer, published: Policy) -> BoundScorer:
    """The scorer with its full policy, which says how many attempts it gets, and how long each may take."""
    # A judge's own provider first: policies of older versions may name another, whose limits would not hold for it.
    own = Policy(provider=own_provider(bound))
    return dataclasses.replace(bound, policy=own.over(published).over(bound.policy).over(_default()))


def _default() -> Policy:
    settings = get_settings()
    return Policy(
        attempts=settings.scorer_attempts,
        budget=settings.scorer_budget,
        backoff=settings.scorer_backoff,
        longest_pause=settings.scorer_longest_pause,
        timeout=settings.scorer_timeout,
        usd_per_day=settings.scorer_usd_per_day,
    )
