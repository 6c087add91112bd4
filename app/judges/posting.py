"""Posting JSON to whoever judges: no redirects, no cookies, and no retries, which scoring sees to."""

from collections.abc import Mapping
from urllib.request import getproxies, proxy_bypass

import aiohttp
import orjson
from aiohttp.abc import AbstractResolver
from yarl import URL

from app.judges.refusals import refused
from app.scorers import Failure, NoJudgement

MAX_BYTES = 1024**2  # of an answer


class Poster:
    """The connections of this process to some of those who judge. `who` is what errors call them."""

    def __init__(self, who: str, resolver: AbstractResolver | None = None, proxy: str | None = None) -> None:
        """`resolver` says to what addresses names lead."""
        self._who = who
        self._resolver = resolver
        self._proxy = proxy
        self._session: aiohttp.ClientSession | None = None

    async def post(self, url: URL, body: object, headers: Mapping[str, str], key: str | None) -> bytes:
        """What is answered with 200. The limits of providers and scorers are what bounds the number of connections.

        Raises NoJudgement: Refused for any other status, and if nobody answers, or answers more than `MAX_BYTES`.
        """
        sent = {"Content-Type": "application/json", **headers}
        if key:
            sent["Authorization"] = f"Bearer {key}"
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        try:
            async with self._connections().post(url, data=data, headers=sent, allow_redirects=False) as answer:
                raw = await self._read(answer)
        except aiohttp.ClientError as error:
            message = f"{self._who} cannot be reached: {type(error).__name__}"
            raise NoJudgement("provider_unreachable", message, Failure.UNAVAILABLE) from None
        if answer.status != 200:
            status, said = answer.status, answer.headers
            answered = aiohttp.ClientResponseError(answer.request_info, (), status=status, headers=said)
            raise refused(self._who, answered, status, _words(raw), key)
        return raw

    async def _read(self, answer: aiohttp.ClientResponse) -> bytes:
        raw = bytearray()
        async for chunk in answer.content.iter_any():
            raw += chunk
            if len(raw) > MAX_BYTES:
                raise NoJudgement("answer_too_large", f"{self._who} answered with more than 1 MiB")
        return bytes(raw)

    def _connections(self) -> aiohttp.ClientSession:
        if self._session is None:
            fresh = self._resolver is not None  # whose answer is looked at for each connection
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, resolver=self._resolver, use_dns_cache=not fresh),
                timeout=aiohttp.ClientTimeout(total=None),  # the attempt's own ends it
                cookie_jar=aiohttp.DummyCookieJar(),
                proxy=self._proxy,
            )
        return self._session


def proxy_for(url: URL) -> str | None:
    """The proxy that the environment names for a url (HTTPS_PROXY, HTTP_PROXY, NO_PROXY, as for most programs).

    aiohttp's own `trust_env` reads ~/.netrc for each request, on a thread.
    """
    return None if proxy_bypass(url.host or "") else getproxies().get(url.scheme)


def _words(raw: bytes) -> object:
    """The message of an error in the shape of OpenAI's."""
    try:
        error = orjson.loads(raw).get("error")
    except (ValueError, AttributeError):
        return None
    return error.get("message") if isinstance(error, dict) else None
