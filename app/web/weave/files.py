"""Weave's files, such as the sources of ops: `/file/create` and `/file/content`."""

import base64
import hashlib
from collections.abc import Mapping

from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage
from multidict import MultiDictProxy
from pydantic import BaseModel

from app import cluster, topics
from app.events import FileKept
from app.slices import Turns
from app.web import catching_up, log_writes
from app.web.auth import check_read, check_write
from app.web.errors import not_found, problem
from app.web.queries import Id
from app.web.responses import json_response
from app.web.weave.bodies import checked_id, read
from tables import weave

MAX_FILE_BYTES = 1024**2  # as base64 it must fit into a record


class FileKey(BaseModel):
    project_id: Id
    digest: Id


async def create_file(request: web.Request) -> web.Response:
    """A form with `project_id`, `file` and, optionally `expected_digest` → `{"digest"}`, once durable."""
    form = await _form(request)
    project_id = checked_id(form.get("project_id"), "project_id")
    check_write(request, project_id)
    file = form.get("file")
    if not isinstance(file, web.FileField):
        raise problem(422, ["body", "file"], "the body must be a form with a file named 'file'", "invalid")
    content = file.file.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise problem(413, ["body", "file"], f"The file has more than {MAX_FILE_BYTES} bytes", "file_too_large")
    digest = digest_of_bytes(content)
    if form.get("expected_digest") not in (None, "", digest):
        raise problem(409, ["body", "expected_digest"], f"The digest of the file is {digest}", "digest_mismatch")
    await keep(project_id, {digest: content})
    return json_response({"digest": digest})


async def _form(request: web.Request) -> MultiDictProxy[str | bytes | bytearray | web.FileField]:
    mistake = problem(422, ["body"], "the body must be a form, multipart/form-data", "invalid")
    if request.content_type != "multipart/form-data":
        raise mistake
    try:
        return await request.post()
    except (ValueError, LookupError, RuntimeError, BadHttpMessage):  # all that aiohttp raises for a malformed form
        raise mistake from None


async def read_file(request: web.Request) -> web.Response:
    """`{"project_id", "digest"}` → the bytes."""
    asked = await read(request, FileKey)
    check_read(request, asked.project_id, "File")
    await catching_up.seen(topics.weave, weave.file_key(asked.project_id, asked.digest))
    content = await content_of(asked.project_id, asked.digest)
    if content is None:
        raise not_found("File")
    return web.Response(body=content, content_type="application/octet-stream")


async def keep(project_id: str, contents: Mapping[str, bytes]) -> None:
    """Store contents by their digests; return once they are durable."""
    turns = Turns()
    records = []
    for digest, content in contents.items():
        event = FileKept(project_id=project_id, digest=digest, content=content)
        records.append((weave.file_key(project_id, digest), event.encode()))
        await turns.breathe()
    await log_writes.write(topics.weave, records)


async def content_of(project_id: str, digest: str) -> bytes | None:
    """The content with a digest; None if there is none."""
    found = await cluster.owner(weave.file, weave.file_key(project_id, digest), project_id, digest)
    return None if found is None else base64.b64decode(found)


def digest_of_bytes(content: bytes) -> str:
    """Weave's digest: SHA-256 in URL-safe base64, with `-` as X and `_` as Y."""
    hashed = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode()
    return hashed.rstrip("=").replace("-", "X").replace("_", "Y")
