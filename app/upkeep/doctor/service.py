"""The service at the URL, if there is one: its readiness and version."""

import asyncio
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

from app.client.errors import CommandError, NotRunning, Refused
from app.client.http import Client, Service
from app.client.text import clean
from app.upkeep.doctor.finding import Finding, ok, warning, wrong

_SUBJECT = "service"
_SECONDS = 10.0


def findings(service: Service) -> Iterator[Finding]:
    """Check the service, if it is running."""
    return iter(asyncio.run(_ask(service)))


async def _ask(service: Service) -> list[Finding]:
    url = service.url
    try:
        async with asyncio.timeout(_SECONDS), Client(service, patience=0) as client:
            info = await _info(client)
            if info.get("title") != "callscore":
                return [wrong(_SUBJECT, f"The server at {url} is not callscore. Stop it, or use another port")]
            return [await _readiness(client), _version(str(info.get("version")))]
    except NotRunning:
        return [ok(_SUBJECT, f"Not running at {url}. Start it with: callscore up")]
    except TimeoutError:
        return [
            wrong(_SUBJECT, f"The server at {url} did not answer within {_SECONDS:g} s. See its log and restart it")
        ]
    except CommandError as error:
        return [wrong(_SUBJECT, error)]


async def _info(client: Client) -> dict[str, Any]:
    """The `info` of its OpenAPI document, which needs no API key; empty if it is not callscore."""
    try:
        info = (await client.get("/openapi.json")).get("info")
    except Refused as error:
        if error.status == 403 and "CALLSCORE_" in error.reason:  # it is not to be asked under this name
            raise
        return {}
    return info if isinstance(info, dict) else {}


async def _readiness(client: Client) -> Finding:
    try:
        await client.get("/readyz")
    except Refused as error:
        if error.status != 503:
            raise
        return warning(_SUBJECT, f"Running at {client.service.url}, but not ready: {clean(error.reason)}.")
    return ok(_SUBJECT, f"Running at {client.service.url}, and ready.")


def _version(theirs: str) -> Finding:
    ours = version("callscore")
    if theirs != ours:
        return warning(
            _SUBJECT,
            f"Its version is {clean(theirs)}, but this command is {ours}. Use its version, or restart the service.",
        )
    return ok(_SUBJECT, f"Its version is {ours}, as that of this command.")
