"""Whether this worker may ask whom a scorer asks, so that none is published that could only fail."""

from pydantic import BaseModel
from yarl import URL

from app.judges.autoevals import AutoEvals
from app.judges.llm import LlmJudge
from app.judges.remote import RemoteScorer
from app.scorers import NoJudgement
from app.settings import SettingsError, get_settings


def refusal(scorer: BaseModel) -> NoJudgement | None:
    """Why every run of the scorer would fail here without anybody being asked; None if settings do not forbid it.

    Only what settings say is looked at: what the name of a host resolves to may be another address at any time.
    """
    try:
        if isinstance(scorer, RemoteScorer):
            # The source of the class is part of every ref to it, so that not even a name in it can be changed.
            scorer._check(URL(scorer.endpoint_url))
        elif isinstance(scorer, LlmJudge | AutoEvals) and scorer.provider is not None:
            get_settings().provider(scorer.provider)
    except NoJudgement as error:
        return error
    except SettingsError as error:
        return NoJudgement("provider_unknown", str(error))
    return None
