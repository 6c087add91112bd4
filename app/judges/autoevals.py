"""`autoevals`: the scorers of the package of that name, which is an extra, and loaded by worker processes alone."""

import importlib
from functools import cached_property
from importlib.util import find_spec
from typing import Any, ClassVar

from pydantic import Field, JsonValue, field_validator

from app.judges.prompt import at
from app.scorers import Call, NoJudgement, Policy, Scorer, report
from app.scorers.arguments import ABSENT, inputs_of, lacks
from app.settings import get_settings


class AutoEvals(Scorer):
    """Runs a scorer of the package autoevals: Levenshtein, NumericDiff, JSONDiff, Factuality, ClosedQA, …"""

    kind: ClassVar[str] = "autoevals"

    scorer: str = Field(pattern=r"^[A-Z]\w*$", description="Its name, e.g. Levenshtein.")
    arguments: dict[str, str] = Field(
        {}, description="Where its arguments are in the call, e.g. expected=attributes.gold; input is the call's input."
    )
    options: dict[str, JsonValue] = Field({}, description="What it is made with, e.g. use_cot=false.")
    provider: str | None = Field(None, description="Whom it asks, if it asks a model: one of CALLSCORE_PROVIDERS.")
    model: str | None = Field(None, description="The model that it asks.")

    @field_validator("scorer")
    @classmethod
    def _is_installed(cls, name: str) -> str:
        if find_spec("autoevals") is None:
            raise ValueError("the package autoevals is not installed: .venv/bin/pip install -e '.[autoevals]'")
        return name

    @property
    def policy(self) -> Policy:  # type: ignore[override]
        """The limits of its provider hold, if it asks one."""
        return Policy(provider=self.provider)

    def score(self, *, output: Any, call: Call) -> dict[str, Any]:
        inputs = inputs_of(call)
        places = {"input": "input", **self.arguments}
        given = {name: at(place, call, inputs) for name, place in places.items()}
        missing = [places[name] for name, value in given.items() if value is ABSENT]
        if missing:
            raise lacks(missing, inputs)
        asked = {"provider": self.provider, "model": self.model}
        report().made_with(**{name: value for name, value in asked.items() if value is not None})
        found = self._made(output, **given)
        if found.score is None:
            raise NoJudgement("judgement_unreadable", f"{self.scorer} gave no score: {found.error or found.metadata}")
        return {"score": found.score, **({"metadata": found.metadata} if found.metadata else {})}

    @cached_property
    def _made(self) -> Any:
        found = getattr(importlib.import_module("autoevals"), self.scorer, None)
        if found is None:
            raise NoJudgement("unknown_scorer", f"autoevals has no scorer {self.scorer}")
        options: dict[str, Any] = dict(self.options)
        if self.provider is not None:
            provider = get_settings().provider(self.provider)
            options |= {"base_url": provider.base_url, "api_key": provider.api_key or "none"}
        if self.model is not None:
            options["model"] = self.model
        return found(**options)
