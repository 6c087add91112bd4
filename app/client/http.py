"""An HTTP client of the service that retries for a while, and whose errors say what to do."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson
from yarl import URL

from app.client.errors import CommandError, NotRunning, Refused, Unreachable
from app.client.patience import Patience, describe, reason_of, retry_after
from app.client.sse import server_sent
from app.client.text import clean

PAGE = 1000
_MISSING = re.compile(r"(\w+) not found$")
_BUSY = (429, 503)
_UNANSWERED = "Callscore-Unanswered-Partitions"


@dataclass(frozen=True)
class Service:
    """The URL of a service, and the API key to send."""

    url: str
    api_key: str | None = None


class Client:
    """One connection pool to one service; use it as an async context manager.

    A request is retried for up to `patience` seconds while the service is busy (429, 503), while one of its workers is
    missing from a list, or while the service is unreachable after it has answered before. Every POST to callscore is
    safe to repeat.
    """

    def __init__(
        self,
        service: Service,
        *,
        patience: float = 30.0,
        on_wait: Callable[[str], None] = lambda sentence: None,
        name_of: Callable[[str], str] = str,
    ) -> None:
        """`name_of` is how the user knows a place in a request, such as `body.project_id`: for errors."""
        self.service = service
        self._patience = patience
        self._on_wait = on_wait
        self._name_of = name_of
        self._has_answered = False

    async def __aenter__(self) -> Self:
        headers = {"Accept": "application/json"}
        if self.service.api_key:
            headers["Authorization"] = f"Bearer {self.service.api_key}"
        self._session = aiohttp.ClientSession(
            headers=headers, timeout=aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=120)
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def ready(self) -> bool:
        """Whether the service is up and has recovered its tables."""
        try:
            status, _, _ = await self._once("GET", "/readyz", None, None, None)
        except (TimeoutError, aiohttp.ClientError):
            return False
        return status == 200

    async def until_ready(self, within: float) -> None:
        """Wait for `ready`, at most `within` seconds. Raises Unreachable."""
        give_up = time.monotonic() + within
        while not await self.ready():
            if time.monotonic() >= give_up:
                raise Unreachable(f"The service at {self.service.url} was not ready within {within:.0f} s.")
            await asyncio.sleep(0.1)

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Get the JSON object at `path`, which is already percent-encoded."""
        return await self._request("GET", path, params=params)

    async def post(self, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Post the JSON `body` and return the JSON object of the answer."""
        return await self._request("POST", path, body=body, headers=headers)

    async def items(
        self, path: str, params: Mapping[str, str], limit: int | None = None
    ) -> AsyncIterator[dict[str, Any]]:
        """The items of a list view, page after page, at most `limit` of them."""
        cursor: str | None = None
        left = limit
        while left is None or left > 0:
            query = {**params, "limit": str(PAGE if left is None else min(PAGE, left))}
            if cursor is not None:
                query["cursor"] = cursor
            page = await self.get(path, query)
            for item in page["items"][:left]:
                yield item
            left = None if left is None else left - len(page["items"])
            cursor = page.get("next_cursor")
            if cursor is None:
                return

    async def _request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        patience = Patience(self._patience, self._on_wait)
        while True:
            pause = 0.0
            try:
                status, answer, received = await self._once(method, path, params, body, headers)
            except (TimeoutError, aiohttp.ClientError) as error:
                trouble = self._trouble(error)
            else:
                self._has_answered = True
                pause = retry_after(received.get("Retry-After"))
                missing = received.get(_UNANSWERED) if method == "GET" else None
                if 200 <= status < 300 and missing is None:
                    return self._object(answer)
                trouble = self._refused(status, answer) if missing is None else self._incomplete(missing)
                if status not in _BUSY and missing is None:
                    raise trouble
            await patience.spend(trouble, pause)

    async def events(self, path: str) -> AsyncIterator[dict[str, Any]]:
        """The JSON objects of a stream of server-sent events.

        A stream that ends is resumed from its last event, until the service answers 204: there is no more.
        """
        patience = Patience(self._patience, self._on_wait)
        headers = {"Accept": "text/event-stream"}
        while True:
            pause = 0.0
            try:
                async with self._session.get(
                    URL(self.service.url + path, encoded=True), headers=headers, allow_redirects=False
                ) as response:
                    self._has_answered = True
                    if response.status == 204:
                        return
                    if response.status != 200:
                        trouble: CommandError = self._refused(response.status, await response.read())
                        if response.status not in _BUSY:
                            raise trouble
                        pause = retry_after(response.headers.get("Retry-After"))
                    else:
                        trouble = Unreachable(f"The service at {self.service.url} ended the stream")
                        began = time.monotonic()
                        try:
                            async for event_id, data in server_sent(response.content.iter_any()):
                                headers["Last-Event-ID"] = event_id
                                patience.renew()
                                yield self._object(data)
                        finally:
                            patience.renew_if_long(began)
            except (TimeoutError, aiohttp.ClientError) as error:
                trouble = self._trouble(error)
            await patience.spend(trouble, pause)

    async def frames(self, path: str) -> AsyncIterator[bytes]:
        """The parts of a binary answer, each preceded by its length in four bytes; an empty part is the last.

        The request is retried only until the answer begins.
        """
        patience = Patience(self._patience, self._on_wait)
        while True:
            try:
                async with self._session.get(
                    URL(self.service.url + path, encoded=True), allow_redirects=False
                ) as response:
                    if response.status == 200:
                        while length := int.from_bytes(await response.content.readexactly(4)):
                            yield await response.content.readexactly(length)
                        return
                    trouble = self._refused(response.status, await response.read())
                    if response.status not in _BUSY:
                        raise trouble
                    pause = retry_after(response.headers.get("Retry-After"))
            except (TimeoutError, aiohttp.ClientError, asyncio.IncompleteReadError) as error:
                url = self.service.url
                raise Unreachable(f"The service at {url} did not complete its answer: {describe(error)}.") from None
            await patience.spend(trouble, pause)

    def _trouble(self, error: TimeoutError | aiohttp.ClientError) -> CommandError:
        """The error for a request without a complete answer; raised at once if retrying is of no use."""
        if isinstance(error, aiohttp.ClientConnectionError):
            trouble = self._unreachable(error)
            if not self._has_answered:
                raise trouble from None
            return trouble
        if isinstance(error, aiohttp.ClientPayloadError):
            return Unreachable(f"The connection to {self.service.url} was lost.")
        return Unreachable(f"The service at {self.service.url} did not answer: {describe(error)}.")

    async def _once(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        body: bytes | None,
        headers: Mapping[str, str] | None,
    ) -> tuple[int, bytes, Mapping[str, str]]:
        url = URL(self.service.url + path, encoded=True)
        given = {**(headers or {}), **({"Content-Type": "application/json"} if body is not None else {})}
        async with self._session.request(
            method, url, params=params, data=body, headers=given, allow_redirects=False
        ) as response:
            return response.status, await response.read(), response.headers

    def _incomplete(self, partitions: str) -> Unreachable:
        """The error for a list without the rows of some worker, which would look as if they did not exist."""
        return Unreachable(
            f"A worker of the service at {self.service.url} does not answer, so its data would be missing "
            f"(partitions {clean(partitions, 100)})."
        )

    def _unreachable(self, error: aiohttp.ClientConnectionError) -> Unreachable:
        url = self.service.url
        if isinstance(error, aiohttp.ClientConnectorDNSError):
            return Unreachable(f"The host of {url} cannot be resolved; check --url or CALLSCORE_URL.")
        if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, ConnectionRefusedError):
            return NotRunning(f"No callscore service answers at {url}; start one with: callscore up")
        return Unreachable(f"The connection to {url} failed: {describe(error)}.")

    def _object(self, answer: bytes) -> dict[str, Any]:
        try:
            value = orjson.loads(answer)
        except orjson.JSONDecodeError:
            value = None
        if not isinstance(value, dict):
            raise _not_callscore(self.service.url)
        return _Answer(value, self.service.url)

    def _refused(self, status: int, answer: bytes) -> Refused:
        url, reason = self.service.url, reason_of(answer, self._name_of)
        if status == 401 and self.service.api_key:
            sentence = f"The service at {url} does not accept this API key."
        elif status == 401:
            sentence = f"The service at {url} requires an API key; set CALLSCORE_API_KEY or use --api-key."
        elif status == 403:
            sentence = f"The service at {url} does not allow that: {reason or 'it answered 403'}."
        elif status == 404 and (missing := _MISSING.search(reason)):
            sentence = f"The service at {url} has no such {missing[1].lower()} (or your key may not see it)."
        elif status == 404:
            sentence = f"The service at {url} found nothing: {reason or 'it answered 404'}."
        elif status == 503:
            sentence = f"The service at {url} is not ready: {reason or 'it answered 503'}."
        elif 400 <= status < 500:
            sentence = f"The service refused the request ({status}): {reason or 'no reason given'}."
        elif status >= 500:
            sentence = f"The service at {url} failed ({status}): {reason or 'see its log'}."
        else:
            sentence = f"The server at {url} is not callscore ({status}); check --url or CALLSCORE_URL."
        return Refused(sentence, status, reason_of(answer) or f"the service answered {status}")


class _Answer(dict[str, Any]):
    """The answer of a service; one without a field that callscore always sends is from another kind of service."""

    def __init__(self, value: Mapping[str, Any], url: str) -> None:
        super().__init__(value)
        self._url = url

    def __missing__(self, name: str) -> Any:
        raise _not_callscore(self._url)


def _not_callscore(url: str) -> Unreachable:
    return Unreachable(f"The server at {url} is not callscore; check --url or CALLSCORE_URL.")
