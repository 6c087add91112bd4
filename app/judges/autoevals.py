"""`autoevals`: the scorers of the package of that name, which is an extra.

They run in worker processes alone. The service loads the package once one of them is published, which takes a third of
a second and no client of a model.
"""

import importlib
import inspect
from collections.abc import Callable
from difflib import get_close_matches
from functools import cache, cached_property, partial
from importlib.util import find_spec
from typing import Any, ClassVar

from pydantic import Field, JsonValue, field_validator
from yarl import URL

from app.judges.chat import provider_of
from app.judges.http_errors import http_error
from app.judges.prompt import at
from app.paths import ABSENT
from app.scorers import Call, NoJudgement, Policy, Scorer, report
from app.scorers.arguments import inputs_of, lacks
from app.settings import get_settings

_ENDPOINT = ("api_key", "base_url", "client")  # options of the package; only the providers file may set them


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


def _make(self: AutoEvals) -> Any:
    """The scorer of the package. Raises NoJudgement if it may not run."""
    if (never := never_runs(self)) is not None:
        raise never
    package = importlib.import_module("autoevals")
    _keep_schemas_offline()
    found = getattr(package, self.scorer)
    options: dict[str, Any] = dict(self.options)
    if self.provider is not None and _asks(found):
        # Some of its scorers pass only a client to those that they are made of, and no base_url and key.
        options["client"] = _client(self.provider)
    if self.model is not None:
        options["model"] = self.model
    return found(**options)


# The source of the class is part of every ref to it, so what it does is corrected here.
_made = cached_property(_make)
_made.__set_name__(AutoEvals, "_made")
AutoEvals._made = _made  # type: ignore[assignment, method-assign]


@cache
def _client(name: str) -> Any:
    """This process's client of a provider. Raises NoJudgement if settings do not have it."""
    openai = importlib.import_module("openai")
    provider = provider_of(name)
    base = URL(provider.base_url)
    client = importlib.import_module("autoevals.oai").LLMClient(
        openai.OpenAI(
            base_url=str(base.with_query(None)),
            default_query=dict(base.query),
            api_key=provider.api_key or "none",
            max_retries=0,  # scoring retries
            http_client=openai.DefaultHttpxClient(follow_redirects=False),
        )
    )

    def raising(ask: Callable[..., Any]) -> Callable[..., Any]:
        """Raise errors of ours, also because the package would try a 429 again by itself, a hundred times."""

        def asked(**body: Any) -> Any:
            try:
                return ask(**body)
            except openai.APIStatusError as error:
                secrets = [provider.api_key] if provider.api_key else []
                raise http_error(
                    f"provider {name}", error, error.status_code, error.response.content, secrets
                ) from None

        return asked

    for kind in ("complete", "embed", "moderation"):
        setattr(client, kind, raising(getattr(client, kind)))
    return client


@cache
def _keep_schemas_offline() -> None:
    """Let references in a JSON Schema, which may come from a call, not reach urls or files."""
    module = importlib.import_module("autoevals.json")
    known = importlib.import_module("jsonschema_specifications").REGISTRY
    module.validate = partial(module.validate, registry=known)  # type: ignore[attr-defined]


def never_runs(scorer: AutoEvals) -> NoJudgement | None:
    """Why a scorer could never run; None if it could, or if the package cannot be loaded here."""
    for name in _ENDPOINT:
        if name in scorer.options:
            message = f"options must not have {name!r}: `provider`, one of CALLSCORE_PROVIDERS, says whom to ask"
            return NoJudgement("endpoint_forbidden", message)
    try:
        package = importlib.import_module("autoevals")
    except ImportError:
        return None
    scorers = {name: found for name, found in vars(package).items() if _is_scorer(found, package)}
    found = scorers.get(scorer.scorer)
    if found is None:
        by_letters = {name.lower(): name for name in scorers}
        near = [by_letters[name] for name in get_close_matches(scorer.scorer.lower(), by_letters)]
        which = f"near is {', '.join(near)}" if near else f"there are {', '.join(sorted(scorers))}"
        return NoJudgement("unknown_scorer", f"autoevals has no scorer {scorer.scorer!r}; {which}")
    if scorer.provider is None and _asks(found):
        message = f"{scorer.scorer} asks a model: give it a `provider`, one of CALLSCORE_PROVIDERS, and a `model`"
        return NoJudgement("provider_missing", message)
    return None


def _is_scorer(found: object, package: Any) -> bool:
    return isinstance(found, type) and issubclass(found, package.Scorer) and not inspect.isabstract(found)


def _asks(found: type) -> bool:
    """Whether it takes the key of whom it asks, itself or one of its bases."""
    made = [vars(base)["__init__"] for base in found.__mro__ if "__init__" in vars(base)]
    return any("api_key" in inspect.signature(init).parameters for init in made)
