"""Queries to another worker: one HTTP POST, authenticated by the secret that the workers of a cluster share."""

import hmac
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
import orjson

from app.settings import get_settings

PATH = "/internal/query"
SECRET = "Callscore-Cluster-Secret"  # noqa: S105  (the name of a header)
DEADLINE = 5.0  # seconds until a worker counts as not answering

_session: aiohttp.ClientSession | None = None


class NoAnswer(Exception):
    """The worker did not answer, or not in time; the message names it."""


class NotNow(Exception):
    """The worker cannot answer now, because partitions are moving; the message names it."""


async def ask(
    url: str, query: str, partitions: Sequence[int], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> list[Any]:
    """The answers of a query on partitions of the worker at `url`, in their order.

    Raises:
        NotNow: its partitions are moving, or are being recovered.
        NoAnswer: it cannot be reached, refuses, or takes longer than the deadline.
    """
    body = orjson.dumps({"query": query, "partitions": partitions, "args": args, "kwargs": kwargs})
    headers = {SECRET: get_settings().cluster_secret or "", "Content-Type": "application/json"}
    try:
        async with _client().post(url + PATH, data=body, headers=headers) as answer:
            if answer.status == 503:
                raise NotNow(f"the worker at {url} is taking over or handing over partitions")
            if answer.status != 200:
                raise NoAnswer(f"the worker at {url} refuses to answer ({answer.status})")
            answers: list[Any] = orjson.loads(await answer.read())
            return answers
    except (aiohttp.ClientError, TimeoutError, orjson.JSONDecodeError) as error:
        raise NoAnswer(f"the worker at {url} does not answer ({type(error).__name__})") from None


def is_peer(secret: str | None) -> bool:
    """Whether the sender of this secret is a worker of this cluster.

    Without a secret in the settings there are no keys either, and everyone on this machine may query anything.
    """
    settings = get_settings()
    if settings.embedded or secret is None:
        return False
    return hmac.compare_digest(secret.encode("utf-8", "surrogateescape"), (settings.cluster_secret or "").encode())


async def close() -> None:
    """Close the connections to other workers."""
    global _session
    if _session is not None:
        session, _session = _session, None
        await session.close()


def _client() -> aiohttp.ClientSession:
    global _session
    if _session is None:
        _session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=DEADLINE))
    return _session
