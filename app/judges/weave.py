"""Translates Weave's scorer objects, `LLMAsAJudgeScorer` with its model and `RemoteScorer`, into scorers of ours."""

from collections.abc import Mapping
from typing import Any

from app.judges.llm import LlmJudge, Parameters
from app.judges.remote import RemoteScorer

JUDGE = "LLMAsAJudgeScorer"
REMOTE = "RemoteScorer"
_NOT_PARAMETERS = frozenset({"messages_template", "response_format"})


class CannotRun(ValueError):
    """The object cannot be run here; the message says why."""


def class_of(val: object) -> str:
    """The class of a published object, '' if it has none."""
    name = (val.get("_class_name") or val.get("_type")) if isinstance(val, Mapping) else None
    return name if isinstance(name, str) else ""


def scorer_of(val: Mapping[str, Any], model: Mapping[str, Any] | None) -> tuple[str, dict[str, Any]]:
    """Kind and parameters of a scorer object; `model` is what a judge's `model` refers to. Raises CannotRun."""
    if class_of(val) == REMOTE:
        if val.get("auth_config"):
            raise CannotRun("auth_config names Weave's secrets, which are not here; publish a `remote` scorer instead")
        return RemoteScorer.kind, {"endpoint_url": val.get("endpoint_url"), "config": val.get("config")}
    if model is None:
        raise CannotRun(f"its model {str(val.get('model'))[:200]!r} has not been published here")
    prompt = val.get("scoring_prompt")
    if not isinstance(prompt, str):
        raise CannotRun("its scoring_prompt must be a text")
    provider, slash, name = str(model.get("llm_model_id")).partition("/")
    if not slash:
        raise CannotRun(
            f"its llm_model_id {provider[:200]!r} must be provider/model, the provider one of this service's"
        )
    params = model.get("default_params") or {}
    if not isinstance(params, Mapping):
        raise CannotRun("its default_params must be an object")
    given = {key: value for key, value in params.items() if value not in (None, [], {})}
    return LlmJudge.kind, {
        "provider": provider,
        "model": name,
        "prompt": prompt,
        "system": _system(given.get("messages_template", [])),
        "scale": {"type": "text" if given.get("response_format") == "text" else "json"},
        "parameters": _parameters(given),
    }


def _system(messages: object) -> str:
    if not isinstance(messages, list):
        raise CannotRun("its messages_template must be a list")
    texts = []
    for message in messages:
        role, content = (message.get("role"), message.get("content")) if isinstance(message, Mapping) else (None, None)
        if role != "system" or not isinstance(content, str):
            raise CannotRun("its messages_template may have texts of the role system only")
        texts.append(content)
    return "\n\n".join(texts)


def _parameters(given: dict[str, Any]) -> dict[str, Any]:
    wanted = {key: value for key, value in given.items() if key not in _NOT_PARAMETERS and not key.startswith("_")}
    unknown = sorted(wanted.keys() - Parameters.model_fields.keys())
    if unknown:
        raise CannotRun(f"default_params.{unknown[0]} is not known here")
    return wanted
