"""Probes: whether the process lives, and whether it can answer."""

from aiohttp import web

from app import cluster
from app.web.responses import json_response


async def healthz(request: web.Request) -> web.Response:
    """200 while the process lives, also while nothing can be written: it goes on by itself, and a kill helps nobody."""
    return json_response({"status": "ok"})


async def readyz(request: web.Request) -> web.Response:
    """200 once the tables are recovered."""
    try:
        cluster.check_ready()
    except cluster.Unavailable as error:
        headers = {"Retry-After": str(error.retry_after)}
        return json_response({"status": "unavailable", "reason": str(error)}, status=503, headers=headers)
    return json_response({"status": "ready"})
