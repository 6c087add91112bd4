"""Whether settings let a scorer send its requests, so that none is published that could only fail."""

from yarl import URL

from app.judges.autoevals import AutoEvals, never_runs
from app.judges.chat import provider_of
from app.judges.llm import LlmJudge
from app.judges.remote import RemoteScorer
from app.scorers import BoundScorer, NoJudgement, Policy


def refusal(bound: BoundScorer) -> NoJudgement | None:
    """Why the scorer could only fail: settings forbid its requests, or it has no provider; None if it may run.

    Names of hosts are not resolved, since their addresses may change at any time.
    """
    if isinstance(bound.scorer, RemoteScorer):
        try:
            # The source of the class is part of every ref to it, so that not even a name in it can be changed.
            bound.scorer._check(URL(bound.scorer.endpoint_url))
        except NoJudgement as error:
            return error
    if isinstance(bound.scorer, AutoEvals) and (never := never_runs(bound.scorer)) is not None:
        return never
    return unknown(bound.policy) if isinstance(bound.scorer, LlmJudge | AutoEvals | RemoteScorer) else None


def own_provider(bound: BoundScorer) -> str | None:
    """The provider that a judge calls whatever its policy says; None if its parameters name none."""
    return bound.scorer.provider if isinstance(bound.scorer, LlmJudge | AutoEvals | RemoteScorer) else None


def wrong_provider(bound: BoundScorer, policy: Policy) -> NoJudgement | None:
    """Why a policy that is published for the scorer cannot have this provider; None if it can."""
    own = own_provider(bound)
    if own is not None and policy.provider not in (None, own):
        message = f"its parameters say that it calls provider {own!r}, whose limits hold: leave `provider` out"
        return NoJudgement("provider_differs", message)
    return unknown(policy.over(bound.policy))


def unknown(policy: Policy) -> NoJudgement | None:
    """Why the provider of a policy is unknown; None if settings have it, or the policy has none."""
    try:
        if policy.provider is not None:
            provider_of(policy.provider)
    except NoJudgement as error:
        return error
    return None
