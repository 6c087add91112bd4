"""The service that answers, if one does: whether it is ready, and of this version."""

import asyncio
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

from app.client.errors import CommandError, NobodyThere, Refused
from app.client.http import Client, Service
from app.client.text import clean
from app.upkeep.checkup.finding import Finding, ok, warning, wrong

_SERVICE = "service"
_SECONDS = 10.0


def findings(service: Service) -> Iterator[Finding]:
    """What there is to say of whoever answers at the URL."""
    return iter(asyncio.run(_ask(service)))


async def _ask(service: Service) -> list[Finding]:
    try:
        async with asyncio.timeout(_SECONDS), Client(service, patience=0) as client:
            about = await _about(client)
            if about.get("title") != "callscore":
                return [
                    wrong(_SERVICE, f"What answers at {service.url} is not callscore: stop it, or use another port")
                ]
            return [await _readiness(client), _version(service, str(about.get("version")))]
    except NobodyThere:
        return [ok(_SERVICE, f"None answers at {service.url}; start one with: callscore up")]
    except TimeoutError:
        return [
            wrong(_SERVICE, f"What answers at {service.url} takes longer than {_SECONDS:g} s: see its log, restart it")
        ]
    except CommandError as error:
        return [wrong(_SERVICE, error)]


async def _about(client: Client) -> dict[str, Any]:
    """What it says of itself, to anybody; nothing if it is not callscore."""
    try:
        about = (await client.get("/openapi.json")).get("info")
    except Refused:
        return {}
    return about if isinstance(about, dict) else {}


async def _readiness(client: Client) -> Finding:
    try:
        await client.get("/readyz")
    except Refused as error:
        if error.status != 503:
            raise
        return warning(_SERVICE, f"It answers at {client.service.url} and is not ready: {clean(error.reason)}.")
    return ok(_SERVICE, f"It answers at {client.service.url} and is ready.")


def _version(service: Service, theirs: str) -> Finding:
    ours = version("callscore")
    if theirs != ours:
        return warning(
            _SERVICE,
            f"It is version {clean(theirs)}, and this command {ours}: use that of the service, or restart the service.",
        )
    return ok(_SERVICE, f"It is of the same version, {ours}.")
