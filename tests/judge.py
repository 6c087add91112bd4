"""A judge: a real HTTP server that speaks OpenAI's chat completions, plays the tricks that endpoints play, and counts.

What it answers depends on what it is asked alone: a text to be judged that has `TRICK name` in it gets that trick.
"""

import asyncio
import json
import re
import time
from collections import Counter
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.on_thread import OnThread

INPUT_PRICE, OUTPUT_PRICE = 0.15, 0.6  # USD for a million tokens
KEY = "sk-of-the-judge-0123456789"
_TRICK = re.compile(r"TRICK (\w+)")
_DATA = re.compile(r"<data (\w+) ([\w.]+)>\n(.*?)\n</data \1>", re.DOTALL)


class Judge(OnThread):
    """Serves on a thread of its own; what is public may be set at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.takes = 0.0  # seconds until it answers
        self.hangs = False  # it answers nobody
        self.hanging = 0  # who waits for an answer since it hangs
        self.fails_first = 0  # of the requests that are still to come, so many are answered 500
        self.status = 200  # what all are answered, if it is an error
        self.headers: dict[str, str] = {}  # of errors
        self.knows_schemas = True
        self.bodies: list[dict[str, Any]] = []  # of all requests
        self.keys: Counter[str] = Counter()
        self.answered = Counter[str]()  # `requests`, `input_tokens`, `output_tokens` of the answers that cost
        self.at_once = 0
        self.most_at_once = 0
        self.arrivals: list[float] = []

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/v1/chat/completions", self._complete)]

    def file(self, path: Path, priced: bool = True, **limits: float) -> Path:
        """A file for CALLSCORE_PROVIDERS that names it `local`, with these limits and prices for `judge-1`."""
        given = ", ".join(f"{name} = {value}" for name, value in limits.items())
        prices = f"prices.judge-1 = {{ input = {INPUT_PRICE}, output = {OUTPUT_PRICE} }}\n" if priced else ""
        where = f'base_url = "{self.origin}/v1"\nkey = "JUDGE_KEY"'
        path.write_text(f"[local]\n{where}\nlimits = {{ {given} }}\n{prices}")
        return path

    def texts(self) -> list[str]:
        """What each request was about, without what it was told about it."""
        return [judged(body) for body in self.bodies]

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.bodies.append(body)
        self.arrivals.append(time.monotonic())
        self.keys[request.headers.get("Authorization", "")] += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return await self._answer(request, body)
        finally:
            self.at_once -= 1

    async def _answer(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        if self.status != 200:
            return _error(self.status, f"no: {self.status}, {request.headers.get('Authorization')}", self.headers)
        if self.fails_first:
            self.fails_first -= 1
            return _error(500, "not yet", {})
        if self.hangs:
            self.hanging += 1
            try:
                await asyncio.sleep(3600)
            finally:
                self.hanging -= 1
        if self.takes:
            await asyncio.sleep(self.takes)
        if not all(message["content"].strip() for message in body["messages"]):
            return _error(400, "all messages must have non-empty content")
        text = judged(body)
        found = _TRICK.search(text)
        trick = found[1] if found else ""
        if "response_format" in body and (not self.knows_schemas or trick == "knows_no_schemas"):
            return _error(400, "unknown field: response_format")
        if trick == "closes":
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if trick == "redirects":
            raise web.HTTPTemporaryRedirect(f"http://127.0.0.1:{self.port}/v1/elsewhere")
        if trick == "is_html":
            return web.Response(text="<html>busy</html>", content_type="text/html")
        if trick == "is_huge":
            return web.Response(text="x" * (1024**2 + 1))
        if trick == "is_no_completion":
            return web.json_response({"object": "chat.completion", "choices": []})
        if trick == "not_found":
            return _error(404, "there is no such model")
        return web.json_response(self._completion(body, text, trick))

    def _completion(self, body: dict[str, Any], text: str, trick: str) -> dict[str, Any]:
        repairing = body["messages"][-2]["role"] == "assistant"
        content = said(body, text, trick, repairing)
        usage = {
            "prompt_tokens": sum(len(message["content"]) for message in body["messages"]) // 4,
            "completion_tokens": len(content or "") // 4,
        }
        self.answered["requests"] += 1
        message: dict[str, Any] = {"role": "assistant", "content": content}
        if trick == "refuses":
            message |= {"content": None, "refusal": "I will not judge that."}
        completion: dict[str, Any] = {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "model": body["model"] + "-2026-01-01",
            "choices": [{"index": 0, "message": message, "finish_reason": _FINISH.get(trick, "stop")}],
        }
        if trick != "counts_nothing":
            self.answered["input_tokens"] += usage["prompt_tokens"]
            self.answered["output_tokens"] += usage["completion_tokens"]
            completion["usage"] = usage
        return completion


_FINISH = {"is_cut_off": "length", "is_filtered": "content_filter"}


def judged(body: dict[str, Any]) -> str:
    """The data in the user's message of a request."""
    return "\n".join(text for _, _, text in _DATA.findall(body["messages"][1]["content"]))


def said(body: dict[str, Any], text: str, trick: str, repairing: bool) -> str | None:
    """What a judge that plays this trick says of a text: well-behaved, a judgement that depends on the text alone."""
    told = body["messages"][0]["content"].rpartition("\n")[2]
    if not told.startswith("{"):  # Weave's scorers say themselves what they want
        return json.dumps({"polite": True}) if "response_format" in body else "It is polite."
    schema = json.loads(told)
    [field] = [name for name in schema["properties"] if name != "reason"]
    value = _value(schema["properties"][field], sum(text.encode()))
    match trick:
        case "chats_once" if not repairing:
            return "I think it is good."
        case "chats":
            return "I think it is good, and nothing makes me say more."
        case "is_empty":
            return None
        case "is_cut_off":
            return '{"reason": "because it is so very'
        case "is_off_scale":
            value = 11 if field == "score" else "none of them"
        case "is_of_another_type":
            value = {"score": True, "label": 1, "passed": "yes"}[field]
        case "lacks_it":
            return json.dumps({"reason": "so"})
    answer = json.dumps({"reason": "so", field: value})
    return f"```json\n{answer}\n```" if trick == "is_fenced" else answer


def _value(schema: dict[str, Any], number: int) -> Any:
    if "enum" in schema:
        return schema["enum"][number % len(schema["enum"])]
    if schema["type"] == "boolean":
        return number % 2 == 0
    return schema["minimum"] + (schema["maximum"] - schema["minimum"]) * (number % 11) / 10


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response({"error": {"message": message, "type": "error"}}, status=status, headers=headers)
