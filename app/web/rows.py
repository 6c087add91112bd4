"""`/internal/rows`: all rows of a partition as they are at one position of the log, for `callscore replay --verify`."""

from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import orjson
from aiohttp import web

from app import cluster, topics
from app.faust_app import app
from app.positions import positions
from app.settings import get_settings
from app.slices import Turns
from app.web.auth import check_all_projects
from app.web.responses import json_response

_AT_ONCE = 256 * 1024  # bytes


async def describe(request: web.Request) -> web.Response:
    """Which log this is, and who has which partition."""
    _check_operator(request)
    cluster.check_ready()
    return json_response(
        {"log": get_settings().log_name, "owners": {str(n): url for n, url in cluster.owners().items()}}
    )


async def stream(request: web.Request) -> web.StreamResponse:
    """First the offset up to which each topic is in the rows, then the rows, [table, key, value] in base64.

    Each part comes behind its length in four bytes; an empty one ends it.
    """
    _check_operator(request)
    cluster.check_ready()
    found = request.match_info["partition"]
    partition = next((here for here in cluster.partitions_here() if str(here) == found), None)
    if partition is None:
        raise cluster.Unavailable("the partition has moved to another worker")
    parts = _parts(partition)  # every agent applies a record in one turn of the event loop, so this is between two
    response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
    await response.prepare(request)
    turns = Turns()
    waiting = bytearray()
    for part in parts:
        waiting += len(part).to_bytes(4) + part
        if len(waiting) >= _AT_ONCE:
            await response.write(bytes(waiting))
            waiting.clear()
        await turns.breathe()
    await response.write(bytes(waiting) + bytes(4))
    await response.write_eof()
    return response


def _parts(partition: int) -> Iterator[bytes]:
    ends = {topics.plain(topic.name): positions.get(topic.name, partition) + 1 for topic in topics.ALL}
    snapshots = {table.name: table.scan(partition) for table in app.tables.values()}

    def parts() -> Iterator[bytes]:
        yield orjson.dumps({"ends": ends})
        for name, rows in snapshots.items():
            for key, value in rows:
                yield orjson.dumps([name, _text(key), _text(value)])

    return parts()


def _text(raw: bytes) -> Any:
    return b64encode(raw).decode()


def _check_operator(request: web.Request) -> None:
    check_all_projects(request, "Only a key for all projects (*) may read the rows of all of them")
