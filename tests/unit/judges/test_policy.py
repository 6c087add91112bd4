"""A scorer is run as it was published, else as its code says, else as the settings say."""

from dataclasses import replace

import pytest

from app.judges.policy import complete
from app.providers import Provider
from app.scorers import BoundScorer, Policy, Registry
from app.settings import Settings, get_settings
from app.web.errors import ApiError
from app.web.publishing import check_cap

REGISTRY = Registry.load(["app.judges"])


@pytest.fixture
def judge() -> BoundScorer:
    params = {"provider": "local", "model": "m", "prompt": "{output}", "scale": {"type": "boolean"}}
    return REGISTRY.bind("judge", "llm_judge", params)


@pytest.fixture
def brief() -> BoundScorer:
    return replace(REGISTRY.bind("brief", "length", {"max": 3}), policy=Policy(attempts=2, timeout=9))


def test_what_was_published_comes_before_the_code_and_the_code_before_the_settings(brief: BoundScorer) -> None:
    policy = complete(brief, Policy(attempts=5)).policy
    assert (policy.attempts, policy.timeout, policy.backoff) == (5, 9, get_settings().scorer_backoff)


def test_the_limits_of_a_judges_own_provider_hold_whatever_was_published_with_it(
    judge: BoundScorer, brief: BoundScorer
) -> None:
    assert complete(judge, Policy(provider="other", timeout=1)).policy.provider == "local"
    assert complete(brief, Policy(provider="other")).policy.provider == "other"


def test_a_cap_in_the_code_of_a_judge_needs_a_price_as_a_published_one_does(
    judge: BoundScorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(providers={"local": Provider(base_url="http://judge/v1")})
    monkeypatch.setattr("app.judges.prices.get_settings", lambda: settings)
    check_cap(judge, Policy(), "body")
    for bound, published in ((judge, Policy(usd_per_day=2)), (replace(judge, policy=Policy(usd_per_day=2)), Policy())):
        with pytest.raises(ApiError, match="It may cost 2 USD a day") as refused:
            check_cap(bound, published, "body")
        assert refused.value.status == 422
