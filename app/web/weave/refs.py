"""The values that Weave's refs into objects point to: `weave:///entity/project/object/name:digest/attr/rows/id/…`."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from aiohttp import web
from pydantic import BaseModel, Field

from app import topics
from app.slices import Turns
from app.web import catching_up
from app.web.auth import check_read
from app.web.errors import not_found, problem
from app.web.responses import encode
from app.web.weave.bodies import Listed, checked_id, read
from app.web.weave.datasets import MOST_BYTES, row_of
from app.web.weave.files import content_of
from app.web.weave.objects import version_of
from tables import weave

_REF = re.compile(r"weave:///([^/]+/[^/]+)/(?:object|op)/([^/]+):([^:/]+)((?:/(?:attr|key|index|id)/[^/]+)*)")


class Refs(BaseModel):
    refs: Listed[str] = Field(max_length=1_000)


async def read_refs(request: web.Request) -> web.Response:
    """`{"refs": […]}` → `{"vals": […]}`."""
    refs = (await read(request, Refs)).refs
    vals: dict[str, bytes] = {}  # encoded, so that their sizes are known
    size, turns = 0, Turns()
    for ref in refs:
        if ref not in vals:
            vals[ref] = encode(await _value(request, ref))
            await turns.breathe()
        size += len(vals[ref])
        if size > MOST_BYTES:
            raise problem(400, ["body", "refs"], "these refs have more than 64 MiB: ask for fewer", "invalid")
    body = b'{"vals":[%b]}' % b",".join(vals[ref] for ref in refs)
    return web.Response(body=body, content_type="application/json")


async def _value(request: web.Request, ref: str) -> Any:
    parts = _REF.fullmatch(ref)
    if parts is None:
        raise problem(422, ["body", "refs"], f"{ref:.200} is not a ref to an object or into one", "invalid")
    project_id, name, digest, path = parts.groups()
    for part in (project_id, name, digest):
        checked_id(part, "refs")
    check_read(request, project_id, "Object")
    found = await version_of(project_id, name, digest)
    if found is None:
        raise not_found("Object")
    value = found.val
    steps = [unquote(step) for step in path.split("/")[1:]]
    for edge, to in zip(steps[::2], steps[1::2], strict=True):
        value = await _row(project_id, value, to) if edge == "id" else _inside(value, edge, to)
    return value


def _inside(value: Any, edge: str, to: str) -> Any:
    if edge == "index" and isinstance(value, list) and re.fullmatch("[0-9]{1,9}", to) and int(to) < len(value):
        return value[int(to)]
    if edge != "index" and isinstance(value, Mapping) and to in value:
        return value[to]
    raise not_found(f"{edge} {to:.200} of the object")


async def _row(project_id: str, table: Any, digest: str) -> Any:
    if isinstance(table, str) and table.startswith(f"weave:///{project_id}/table/"):
        await catching_up.seen(topics.weave, weave.file_key(project_id, checked_id(digest, "refs")))
        content = await content_of(project_id, digest)
        if content is not None:
            return row_of(content, digest)
    raise not_found(f"Row {digest:.200}")
