"""An HTTP client of a W&B Weave, hosted or self-hosted, by the paths that its SDK uses."""

import base64
import json
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import aiohttp
import orjson
from yarl import URL

from app.client.errors import CommandError, Refused, Unreachable
from app.client.patience import Patience, describe, reason_of, retry_after
from app.urls import is_loopback

HOSTED = "https://trace.wandb.ai"
KEY_VARIABLE = "WANDB_API_KEY"
_MAX_LINE_BYTES = 64 << 20

T = TypeVar("T")
Made = TypeVar("Made")


class Weave:
    """One connection pool to one Weave; use it as an async context manager.

    A request is retried for up to `patience` seconds while Weave is busy (429), fails (5xx), or cannot be reached after
    it has answered before. So only what is safe to repeat may be sent.
    """

    def __init__(
        self, url: str, key: str, *, patience: float = 300.0, on_wait: Callable[[str], None] = lambda sentence: None
    ) -> None:
        self.url = url
        self._key = key
        self._patience = patience
        self._on_wait = on_wait
        self._has_answered = False

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            auth=aiohttp.BasicAuth("api", self._key),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=120),
            # Proxies are for hosts elsewhere: to one, a key for this machine would go in clear.
            trust_env=not is_loopback(urlsplit(self.url).hostname or ""),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def post(self, path: str, body: bytes) -> dict[str, Any]:
        """Post the JSON `body` and return the JSON object of the answer. Raises Refused and Unreachable."""
        return await self._retried(path, body, "application/json", self._whole)

    async def lines(self, path: str, body: bytes, take: Callable[[dict[str, Any]], T | None]) -> list[T]:
        """Post the JSON `body` and return what `take` makes of each line of the answer, where that is not None.

        The answer counts only if it is complete. Raises Refused and Unreachable.
        """

        async def read(response: aiohttp.ClientResponse) -> list[T]:
            taken: list[T] = []
            rest = bytearray()
            async for part in response.content.iter_any():
                rest += part
                if b"\n" in part:
                    *lines, last = rest.split(b"\n")
                    taken.extend(made for line in lines if (made := self._taken(line, take)) is not None)
                    rest = last
                elif len(rest) > _MAX_LINE_BYTES:
                    raise self.not_weave()
            made = self._taken(rest, take)
            return taken if made is None else [*taken, made]

        return await self._retried(path, body, "application/jsonl", read)

    async def _retried(
        self, path: str, body: bytes, accept: str, read: Callable[[aiohttp.ClientResponse], Awaitable[Made]]
    ) -> Made:
        patience = Patience(self._patience, self._on_wait)
        url = URL(self.url + path, encoded=True)
        headers = {"Accept": accept, "Content-Type": "application/json"}
        while True:
            pause = 0.0
            try:
                async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                    self._has_answered = True
                    if 200 <= response.status < 300:
                        return await read(response)
                    refused = self._refused(response.status, path, await response.read())
                    if response.status != 429 and response.status < 500:
                        raise refused
                    trouble: CommandError = refused
                    pause = retry_after(response.headers.get("Retry-After"))
            except (TimeoutError, aiohttp.ClientError) as error:
                trouble = Unreachable(f"The Weave at {self.url} cannot be reached: {describe(error)}.")
                if not self._has_answered:
                    raise trouble from None
            await patience.spend(trouble, pause)

    async def _whole(self, response: aiohttp.ClientResponse) -> dict[str, Any]:
        return self._object(await response.read())

    def _taken(self, line: bytes | bytearray, take: Callable[[dict[str, Any]], T | None]) -> T | None:
        return take(self._object(line)) if line.strip() else None

    def _object(self, text: bytes | bytearray) -> dict[str, Any]:
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError:
            try:
                value = json.loads(text)  # half an emoji, NaN
            except ValueError:
                value = None
        if not isinstance(value, dict):
            raise self.not_weave()
        return value

    def not_weave(self) -> CommandError:
        return CommandError(f"The server at {self.url} does not answer as Weave does; check the URL.")

    def _refused(self, status: int, path: str, answer: bytes) -> Refused:
        for secret in (self._key, base64.b64encode(f"api:{self._key}".encode()).decode()):
            answer = answer.replace(secret.encode(), b"***")
        reason = reason_of(answer)
        because = reason or f"it answered {status}"
        if status == 401:
            sentence = f"The Weave at {self.url} does not accept the key in {KEY_VARIABLE}."
        elif status == 403:
            sentence = f"The key in {KEY_VARIABLE} may not do that at {self.url}: {because}."
        elif status == 404:
            sentence = f"The Weave at {self.url} found nothing for {path}: {because}. Check the URL and the project."
        elif status == 429:
            sentence = f"The Weave at {self.url} is busy: {because}."
        elif status >= 500:
            sentence = f"The Weave at {self.url} failed ({status}): {because}."
        elif status >= 400:
            sentence = f"The Weave at {self.url} refused the request ({status}): {because}."
        else:
            sentence = f"The server at {self.url} does not answer as Weave does ({status}); check the URL."
        refused = Refused(sentence, status, because)
        refused.exit_code = CommandError.exit_code
        return refused


def dump(value: Mapping[str, Any]) -> bytes:
    """`value` as JSON; half an emoji stays escaped."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value).encode()
