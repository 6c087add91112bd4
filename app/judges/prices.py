"""Whether what a scorer costs can be counted on this worker, without which no spend cap could hold."""

from pydantic import BaseModel

from app.judges.autoevals import AutoEvals
from app.judges.llm import LlmJudge
from app.judges.remote import RemoteScorer
from app.settings import get_settings


def never_tells_cost(scorer: BaseModel) -> bool:
    """Whether it costs what only whoever is asked knows: the cap of a day would never be reached."""
    return isinstance(scorer, RemoteScorer | AutoEvals)


def lacks_price(scorer: BaseModel) -> str | None:
    """That the model of a judge has no price, as words for people; None if it has one, or its provider is unknown.

    An unknown provider is asked nothing. Scorers other than `llm_judge` tell themselves what they cost, or nothing.
    """
    if not isinstance(scorer, LlmJudge):
        return None
    provider = get_settings().providers.get(scorer.provider)
    if provider is None or scorer.model in provider.prices:
        return None
    return f"the file of CALLSCORE_PROVIDERS has no price for model {scorer.model!r} of provider {scorer.provider!r}"
