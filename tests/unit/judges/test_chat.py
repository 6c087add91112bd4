"""What is made of the answers of endpoints that follow OpenAI's contract in their own way."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from app.judges.chat import Chat
from app.providers import Price, Provider
from app.scorers import NoJudgement, Report
from app.scorers.report import current

from .answering import Asked, answering

ASKED = [{"role": "system", "content": "Judge."}, {"role": "user", "content": "this"}]


def completion(content: str | None = "so", **more: Any) -> web.Response:
    """An answer of a model."""
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
    return web.json_response({"object": "chat.completion", "model": "m", "choices": [choice], **more})


@asynccontextmanager
async def chat(answer: Callable[[Asked], web.Response], **provider: Any) -> AsyncIterator[Chat]:
    """A client of an endpoint that answers so."""
    async with answering(answer) as url:
        asks = Chat("local", Provider.model_validate({"base_url": f"{url}v1", **provider}))
        try:
            yield asks
        finally:
            await asks._poster.close()


@pytest.mark.parametrize(
    ("usage", "output_tokens", "unpriced"),
    [
        ({"completion_tokens": 10, "total_tokens": 110}, 10, 0),
        ({"completion_tokens": 10, "total_tokens": 1110}, 1010, 0),
        ({"completion_tokens": 10}, 10, 0),
        ({"completion_tokens": 10, "total_tokens": 5}, 10, 0),
        ({"completion_tokens": 10, "total_tokens": "many"}, 10, 0),
        ({"completion_tokens": 0, "total_tokens": 100}, 0, 0),
        ({"total_tokens": 110}, 10, 0),
        ({"total_tokens": 100}, 0, 1),
    ],
)
async def test_reasoning_that_an_endpoint_counts_in_the_total_alone_is_paid_for_as_output(
    usage: dict[str, Any], output_tokens: int, unpriced: int
) -> None:
    report = Report()
    current.set(report)
    async with chat(
        lambda _: completion(usage={"prompt_tokens": 100, **usage}), prices={"m": Price(input=1, output=10)}
    ) as asks:
        await asks.ask("m", ASKED, None, {})
    assert (report.input_tokens, report.output_tokens, report.unpriced) == (100, output_tokens, unpriced)
    assert report.cost == (0 if unpriced else (100 + 10 * output_tokens) * 1_000_000)


async def test_where_a_model_takes_no_temperature_the_error_says_what_to_publish() -> None:
    error = {"error": {"message": "Unsupported value: 'temperature' does not support 0 with this model."}}
    async with chat(lambda _: web.json_response(error, status=400)) as asks:
        with pytest.raises(NoJudgement, match=r"with this model.; publish .* no temperature, such as {}$"):
            await asks.ask("m", ASKED, FORMS["json_schema"], {"temperature": 0.0})
        with pytest.raises(NoJudgement, match=r"with this model.$"):
            await asks.ask("m", ASKED, FORMS["json_schema"], {})


async def test_an_endpoint_is_sent_its_query_headers_and_fields_and_none_of_the_secrets_is_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AZURE_KEY", "secret-1")
    monkeypatch.setenv("GATEWAY", "Basic secret-2")
    asked: list[Asked] = []

    def answer(request: Asked) -> web.Response:
        asked.append(request)
        return web.json_response({"error": f"not with {request.headers}, secret-2"}, status=404)

    provider: dict[str, Any] = {
        "headers": {"api-key": "AZURE_KEY", "Authorization": "GATEWAY"},
        "body": {"seed": 1, "temperature": 1, "chat_template_kwargs": {"enable_thinking": False}},
    }
    async with answering(answer) as url:
        asks = Chat("azure", Provider.model_validate({"base_url": f"{url}openai?api-version=1", **provider}))
        with pytest.raises(NoJudgement) as refused:
            await asks.ask("m", ASKED, None, {"temperature": 0.0})
        await asks._poster.close()
    [request] = asked
    assert request.path == "/openai/chat/completions?api-version=1"
    assert (request.headers["api-key"], request.headers["Authorization"]) == ("secret-1", "Basic secret-2")
    assert request.body == {**provider["body"], "model": "m", "messages": ASKED, "temperature": 0.0}
    assert "answered 404: not with" in refused.value.message
    assert "secret" not in refused.value.message


@pytest.mark.parametrize("empty", ["", " \n"])
async def test_no_message_that_an_endpoint_is_sent_is_empty(empty: str) -> None:
    bodies: list[Any] = []

    def answer(request: Asked) -> web.Response:
        bodies.append(request.body)
        return completion()

    repair = [{"role": "assistant", "content": empty}, {"role": "user", "content": "Answer again."}]
    async with chat(answer) as asks:
        await asks.ask("m", [*ASKED, *repair], None, {})
    assert bodies[0]["messages"] == [*ASKED, {"role": "assistant", "content": "(nothing)"}, repair[1]]


FORMS: dict[str, Any] = {type_: {"type": type_} for type_ in ("json_schema", "json_object")}


async def test_structured_output_is_given_up_after_two_refusals_for_that_form_and_model_alone() -> None:
    asked: list[tuple[str, str | None]] = []

    def answer(request: Asked) -> web.Response:
        form = request.body.get("response_format", {}).get("type")
        asked.append((request.body["model"], form))
        refused = (request.body["model"], form) == ("small", "json_schema")
        return web.json_response({"error": "unknown field"}, status=400) if refused else completion()

    async with chat(answer) as asks:
        for _ in range(3):
            await asks.ask("small", ASKED, FORMS["json_schema"], {})
        await asks.ask("small", ASKED, FORMS["json_object"], {})
        await asks.ask("large", ASKED, FORMS["json_schema"], {})
    without = ("small", None)
    refused = ("small", "json_schema")
    assert asked == [refused, without, refused, without, without, ("small", "json_object"), ("large", "json_schema")]


async def test_structured_output_that_was_given_once_is_asked_for_however_often_it_fails() -> None:
    statuses = iter([400, 200, 200, 400, 200, 400, 200, 400, 200])  # with a schema, and without after each 400
    with_schema: list[bool] = []

    def answer(request: Asked) -> web.Response:
        with_schema.append("response_format" in request.body)
        status = next(statuses)
        return completion() if status == 200 else web.json_response({"error": "json_validate_failed"}, status=status)

    async with chat(answer) as asks:
        for _ in range(5):
            await asks.ask("m", ASKED, FORMS["json_schema"], {})
    assert with_schema == [True, False, True, True, False, True, False, True, False]
