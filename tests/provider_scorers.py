"""Scorers that ask the provider `local`. Named by CALLSCORE_SCORERS in tests."""

import json
import os
import time
import urllib.request
from typing import Any

import aiohttp

from app.scorers import Policy, RetryLater, scorer
from app.settings import get_settings

# Long, so that no pause of the machine is taken for a provider that hangs.
LOCAL = Policy(provider="local", timeout=float(os.environ.get("PROVIDER_TIMEOUT", "20")))
_session: aiohttp.ClientSession | None = None


def sent() -> dict[str, str]:
    """When the question goes out, on the clock that all processes of a machine share."""
    return {"Sent": str(time.monotonic())}


def session() -> aiohttp.ClientSession:
    """One session for all, as a judge would have; unlike the provider's, its connections are not limited."""
    global _session
    if _session is None:
        settings = get_settings()
        _session = aiohttp.ClientSession(
            settings.provider("local").base_url,
            connector=aiohttp.TCPConnector(limit=0),
            headers={"Worker": str(settings.web_port)},
        )
    return _session


@scorer(policy=LOCAL)
async def asks(call: dict[str, Any]) -> Any:
    """Has the provider judge."""
    async with session().post(f"/judge/{call['id']}", headers=sent(), raise_for_status=True) as answer:
        return await answer.json()


@scorer(policy=LOCAL)
def asks_in_process(call: dict[str, Any]) -> Any:
    """Has the provider judge, from a worker process."""
    url = f"{get_settings().provider('local').base_url}/judge/{call['id']}"
    with urllib.request.urlopen(urllib.request.Request(url, b"", sent()), timeout=30) as answer:
        return json.load(answer)


@scorer
async def waits_a_day(output: str) -> None:
    """Will not score today."""
    raise RetryLater(after=86_400)
