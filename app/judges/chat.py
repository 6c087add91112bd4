"""Client of OpenAI-compatible endpoints: POST chat/completions.

Contract: platform.openai.com/docs/api-reference/chat/create, as far as compatible endpoints follow it. OpenAI's own
client took more time for a request than the rest of a judgement (docs/dependencies.md).
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from app.judges.http_errors import HttpError
from app.judges.posting import BrokenOff, Poster, proxy_for
from app.providers import Provider
from app.scorers import MOST_TOKENS, Failure, NoJudgement, report
from app.settings import SettingsError, get_settings

RAW_CHARACTERS = 4_000
_NO_SUCH_FIELD = (400, 415, 422, 501)  # what endpoints answer to a `response_format` that they do not know
_NO_SUCH_FORM = 2  # refusals; one may be of an answer that the endpoint could not make fit

_NO_TEMPERATURE = "; publish the judge with `parameters` that have no temperature, such as {}"

Message = dict[str, str]
_Form = tuple[str, str]  # a model, and the type of a `response_format`


class Answer(NamedTuple):
    """The answer of a model. `finish` is why it stopped: `stop`, `length`, `content_filter`, …"""

    text: str
    refusal: str | None
    finish: str | None


class Chat:
    """This process's client of one provider."""

    def __init__(self, name: str, provider: Provider) -> None:
        self._name = name
        self._provider = provider
        self._url = provider.url("chat/completions")
        self._poster = Poster(f"provider {name}", proxy=proxy_for(self._url), headers=provider.header_values)
        self._accepted: set[_Form] = set()
        self._refusals: Counter[_Form] = Counter()  # without which the request was answered

    async def ask(
        self, model: str, messages: list[Message], form: Mapping[str, Any] | None, parameters: Mapping[str, Any]
    ) -> Answer:
        """The answer of a model, in this `response_format` if the endpoint supports it. Raises NoJudgement."""
        body = {"model": model, "messages": [_with_content(message) for message in messages], **parameters}
        if form is None or self._refuses(model, form):
            return await self._post(body)
        try:
            answer = await self._post({**body, "response_format": form})
            self._accepted.add((model, form["type"]))
            return answer
        except HttpError as error:
            if error.status not in _NO_SUCH_FIELD:
                raise
        # Each endpoint words this refusal in its own way: try without, to see whether it was that.
        answer = await self._post(body)
        self._refusals[model, form["type"]] += 1
        return answer

    def _refuses(self, model: str, form: Mapping[str, Any]) -> bool:
        """Whether the endpoint supports no such `response_format` with this model, as far as its answers show."""
        asked = (model, form["type"])
        return asked not in self._accepted and self._refusals[asked] >= _NO_SUCH_FORM

    async def _post(self, body: dict[str, Any]) -> Answer:
        # As late as possible, so that a kill rarely falls between this and the request.
        await report().asking()
        try:
            content = await self._poster.post(self._url, {**self._provider.body, **body}, {}, self._provider.api_key)
        except BrokenOff:
            raise  # the request counts as unanswered
        except NoJudgement as error:
            if isinstance(error, HttpError) and "temperature" in body and "temperature" in error.message:
                error.message += _NO_TEMPERATURE
            if error.type == "answer_too_large":
                self._count(body["model"], None)
            else:
                report().cost_nothing()
            raise
        return self._read(body["model"], content)

    def _read(self, model: str, content: bytes) -> Answer:
        try:
            answer = orjson.loads(content)
            choice = answer["choices"][0]
            message = choice["message"]
            text, refusal, finish = _text(message.get("content")), message.get("refusal"), choice.get("finish_reason")
        except (ValueError, LookupError, TypeError, AttributeError):
            self._count(model, None)
            message = f"provider {self._name} answered 200 with what is no chat completion"
            raw = content[:RAW_CHARACTERS].decode("utf-8", "replace")
            raise NoJudgement("answer_malformed", message, Failure.TRANSIENT, raw=raw) from None
        self._count(model, answer.get("usage"))
        if isinstance(answer.get("model"), str):
            report().made_with(answered_by=answer["model"])
        return Answer(text, refusal if isinstance(refusal, str) else None, finish)

    def _count(self, model: str, usage: Any) -> None:
        price = self._provider.prices.get(model)
        report().asked(*_usage(usage), None if price is None else (price.input, price.output))


def _text(content: Any) -> str:
    """The text of a message, which some endpoints split into parts."""
    if isinstance(content, list):
        return "".join(part.get("text") or "" for part in content)
    if content is not None and not isinstance(content, str):
        raise TypeError
    return content or ""


def _with_content(message: Message) -> Message:
    """The message, never empty: Anthropic and Mistral refuse a conversation with an empty answer."""
    return message if message["content"].strip() else {**message, "content": "(nothing)"}


def _usage(usage: Any) -> tuple[int | None, int | None]:
    """Input and output tokens; None where they are not given."""
    if not isinstance(usage, dict):
        return None, None
    asked, answered = _tokens(usage.get("prompt_tokens")), _tokens(usage.get("completion_tokens"))
    total = _tokens(usage.get("total_tokens"))
    if asked is not None and total is not None:
        # xAI and some gateways to Gemini count reasoning in the total alone, but bill it as output.
        answered = max(answered or 0, total - asked) or answered
    return asked, answered


def _tokens(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < MOST_TOKENS else None


_chats: dict[str, Chat] = {}


def chat(name: str) -> Chat:
    """The client of a provider. Raises NoJudgement if settings do not have it."""
    found = _chats.get(name)
    if found is None:
        found = _chats[name] = Chat(name, provider_of(name))
    return found


def provider_of(name: str) -> Provider:
    """The provider with this name. Raises NoJudgement if settings do not have it."""
    try:
        return get_settings().provider(name)
    except SettingsError as error:
        raise NoJudgement("provider_unknown", str(error)) from None
