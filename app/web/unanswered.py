"""Which partitions an answer is without."""

from aiohttp import web

from app import cluster
from app.web.errors import Handler


@web.middleware
async def note_unanswered(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Say in a header which partitions are missing from an answer that was gathered from all workers."""
    with cluster.noting() as noted:
        response = await handler(request)
    if noted:
        response.headers["Callscore-Unanswered-Partitions"] = ",".join(str(partition) for partition in sorted(noted))
    return response
