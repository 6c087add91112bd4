"""HTTP client of judges: posts JSON without redirects, cookies, or retries, which scoring does."""

from collections.abc import Mapping
from urllib.request import getproxies, proxy_bypass

import aiohttp
import orjson
from yarl import URL

from app.judges.http_errors import http_error
from app.judges.resolver import Resolver
from app.scorers import Failure, NoJudgement

MAX_BYTES = 1024**2  # of an answer
_UNSENT = (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError, aiohttp.InvalidURL)  # no name, host, certificate


class BrokenOff(NoJudgement):
    """The connection broke after it was made, so the request may have been processed without an answer."""


class Poster:
    """Connections of this process to an endpoint. `who` is its name in errors."""

    def __init__(
        self,
        who: str,
        resolver: Resolver | None = None,
        proxy: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """`headers` of all requests are secret."""
        self._who = who
        self._headers = headers or {}
        self._resolver = resolver or Resolver()
        self._proxy = proxy
        self._session: aiohttp.ClientSession | None = None

    async def post(self, url: URL, body: object, headers: Mapping[str, str], key: str | None) -> bytes:
        """The body of a 2xx answer. The limits of providers and scorers bound the number of connections.

        Raises NoJudgement: HttpError for any other status, BrokenOff, and if no connection is made, or the answer is
        larger than `MAX_BYTES`.
        """
        sent = {"Content-Type": "application/json", **self._headers, **headers}
        if key:
            sent["Authorization"] = f"Bearer {key}"
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        try:
            async with self._connections().post(url, data=data, headers=sent, allow_redirects=False) as answer:
                raw = await self._read(answer)
        except (*_UNSENT, ValueError) as error:  # ValueError: a key or a host that cannot be sent
            message = f"{self._who} cannot be reached: {_cause(error)}"
            raise NoJudgement("provider_unreachable", message, Failure.UNAVAILABLE) from None
        except aiohttp.ClientError as error:
            message = f"{self._who} broke the connection off: {_cause(error)}"
            raise BrokenOff("provider_unreachable", message, Failure.UNAVAILABLE) from None
        if not _is_fine(answer):
            status = answer.status
            failure = aiohttp.ClientResponseError(answer.request_info, (), status=status, headers=answer.headers)
            raise http_error(self._who, failure, status, raw, self._secrets(key))
        return raw

    def _secrets(self, key: str | None) -> list[str]:
        values = [*self._headers.values(), *([key] if key else [])]
        return [secret for value in values for secret in (value, value.rpartition(" ")[2])]  # also without `Bearer`

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
        await self._resolver.close()

    async def _read(self, answer: aiohttp.ClientResponse) -> bytes:
        raw = bytearray()
        try:
            async for chunk in answer.content.iter_any():
                raw += chunk
                if len(raw) > MAX_BYTES:
                    raise NoJudgement("answer_too_large", f"{self._who} answered with more than 1 MiB")
        except (aiohttp.ClientError, NoJudgement):
            if _is_fine(answer):
                raise
            # Its status is enough of an error.
        return bytes(raw)

    def _connections(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0,
                    resolver=self._resolver,
                    keepalive_timeout=4,  # many servers close after 5 s, and a request sent just then gets no answer
                ),
                timeout=aiohttp.ClientTimeout(total=None),  # that of the attempt counts
                cookie_jar=aiohttp.DummyCookieJar(),
                proxy=self._proxy,
            )
        return self._session


def proxy_for(url: URL) -> str | None:
    """The proxy that the environment names for a url: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, but for NO_PROXY.

    aiohttp's own `trust_env` reads ~/.netrc for each request, on a thread.
    """
    named = getproxies()
    proxy = named.get(url.scheme) or named.get("all")
    if proxy is None or proxy_bypass(f"{url.host}:{url.port}"):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _cause(error: Exception) -> str:
    """Why the connection failed, without anything that was sent."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        verified = error.certificate_error
        return f"its certificate is not accepted: {getattr(verified, 'verify_message', type(verified).__name__)}"
    return type(error).__name__


def _is_fine(answer: aiohttp.ClientResponse) -> bool:
    return 200 <= answer.status < 300
