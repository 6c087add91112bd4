"""Whether the cost of a scorer can be counted on this worker, as a spend cap requires."""

from pydantic import BaseModel

from app.judges.autoevals import AutoEvals
from app.judges.llm import LlmJudge
from app.judges.remote import RemoteScorer
from app.settings import get_settings


def never_tells_cost(scorer: BaseModel) -> bool:
    """Whether only the endpoint knows what the scorer costs, so that a spend cap would never be reached."""
    return isinstance(scorer, RemoteScorer | AutoEvals)


def lacks_price(scorer: BaseModel) -> str | None:
    """The message that the model of a judge has no price; None if it has one.

    Also None if its provider is unknown, as no requests are sent then, and for scorers other than `llm_judge`, which
    report their costs themselves, or cost nothing.
    """
    if not isinstance(scorer, LlmJudge):
        return None
    provider = get_settings().providers.get(scorer.provider)
    if provider is None or scorer.model in provider.prices:
        return None
    return f"the file of CALLSCORE_PROVIDERS has no price for model {scorer.model!r} of provider {scorer.provider!r}"
