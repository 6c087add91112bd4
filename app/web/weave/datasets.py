"""Weave's tables, which hold the rows of datasets and the results of evaluations.

A row is stored as a file with its JSON, a table as a file with the digests of its rows; both have Weave's digests.
"""

import hashlib
import json
from typing import Annotated, Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from app import topics
from app.slices import Turns
from app.web import catching_up
from app.web.auth import check_read, check_write
from app.web.bodies import AtMost, decode_exactly
from app.web.errors import not_found, problem
from app.web.queries import Id
from app.web.responses import json_response
from app.web.weave.bodies import Listed, bad_request, read
from app.web.weave.files import MAX_FILE_BYTES, content_of, digest_of_bytes, keep

_DIGEST = 43  # characters of a row's digest
MAX_ROWS = MAX_FILE_BYTES // _DIGEST
MOST_BYTES = 64 * 1024**2  # in one answer

Row = dict[Any, Any]  # str would refuse a key with half an emoji


class NewTable(BaseModel):
    project_id: Id
    rows: Annotated[Listed[Row], AtMost(MAX_ROWS)]
    expected_digest: str | None = None


class TableCreation(BaseModel):
    table: NewTable


class TableOfDigests(BaseModel):
    project_id: Id
    row_digests: Listed[str] = Field(max_length=MAX_ROWS)
    expected_digest: str | None = None


class TableUpdate(BaseModel):
    project_id: Id
    base_digest: Id
    updates: Annotated[Listed[dict[Any, Any]], AtMost(MAX_ROWS)]


class TableFilter(BaseModel):
    model_config = ConfigDict(extra="forbid")

    row_digests: Annotated[Listed[str], Field(max_length=MAX_ROWS)] | None = None


class TableKey(BaseModel):
    project_id: Id
    digest: Id


class TableQuery(TableKey):
    filter: TableFilter | None = None
    sort_by: list[Any] | None = Field(None, max_length=0)
    limit: int | None = Field(None, ge=0)
    offset: int | None = Field(None, ge=0)


async def create_table(request: web.Request) -> web.Response:
    """Store rows as a table. Answers the digests of table and rows once all is durable."""
    table = (await read(request, TableCreation, decode_exactly)).table
    check_write(request, table.project_id)
    digests: list[str] = []
    kept: dict[str, bytes] = {}
    turns = Turns()
    for row in table.rows:
        digests.append(_row(row, kept))
        await turns.breathe()
    digest = await _keep(table.project_id, digests, kept, table.expected_digest)
    return json_response({"digest": digest, "row_digests": digests})


async def create_table_of_digests(request: web.Request) -> web.Response:
    """Make a table of rows that are already stored, which is how the SDK sends large tables."""
    asked = await read(request, TableOfDigests)
    check_write(request, asked.project_id)
    if any(len(digest) != _DIGEST or not digest.isascii() for digest in asked.row_digests):
        raise bad_request("row_digests: these are not digests of rows")
    return json_response({"digest": await _keep(asked.project_id, asked.row_digests, {}, asked.expected_digest)})


async def update_table(request: web.Request) -> web.Response:
    """Make a table from another, with rows appended, inserted or removed."""
    asked = await read(request, TableUpdate, decode_exactly)
    check_write(request, asked.project_id)
    digests = await _digests(asked.project_id, asked.base_digest)
    kept: dict[str, bytes] = {}
    updated, turns = [], Turns()
    for number, update in enumerate(asked.updates):
        match update:
            case {"append": {"row": dict(row)}}:
                digest = _row(row, kept)
                digests.append(digest)
            case {"insert": {"index": int(index), "row": dict(row)}} if 0 <= index <= len(digests):
                digest = _row(row, kept)
                digests.insert(index, digest)
            case {"pop": {"index": int(index)}} if 0 <= index < len(digests):
                digest = digests.pop(index)
            case _:
                raise bad_request(f"updates[{number}] neither appends, inserts nor pops a row of the table")
        updated.append(digest)
        await turns.breathe()
    return json_response({"digest": await _keep(asked.project_id, digests, kept, None), "updated_row_digests": updated})


async def query_table(request: web.Request) -> web.Response:
    """Rows of a table, in their order."""
    asked = await read(request, TableQuery)
    check_read(request, asked.project_id, "Table")
    digests = await _digests(asked.project_id, asked.digest)
    wanted = set(asked.filter.row_digests or ()) if asked.filter else None
    chosen = [(index, digest) for index, digest in enumerate(digests) if not wanted or digest in wanted]
    start = asked.offset or 0
    rows, size, turns = [], 0, Turns()
    for index, digest in chosen[start : None if asked.limit is None else start + asked.limit]:
        content = await content_of(asked.project_id, digest)
        if content is None:
            raise not_found(f"Row {digest}")
        size += len(content)
        if size > MOST_BYTES:
            raise bad_request("these rows have more than 64 MiB: ask for fewer")
        rows.append({"digest": digest, "val": row_of(content, digest), "original_index": index})
        await turns.breathe()
    return json_response({"rows": rows})


def row_of(content: bytes, digest: str) -> Any:
    """A row from the content of its file. Raises ApiError 404 if the file has no row."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise not_found(f"Row {digest:.200}") from None


async def count_rows(request: web.Request) -> web.Response:
    """How many rows a table has."""
    asked = await read(request, TableKey)
    check_read(request, asked.project_id, "Table")
    return json_response({"count": len(await _digests(asked.project_id, asked.digest))})


def _row(row: Row, kept: dict[str, bytes]) -> str:
    """Add a row to `kept`, and return its digest."""
    content = json.dumps(row, sort_keys=True).encode()
    if len(content) > MAX_FILE_BYTES:
        raise problem(413, ["body"], "A row may have at most 1 MiB", "row_too_large")
    digest = digest_of_bytes(content)
    kept[digest] = content
    return digest


async def _keep(project_id: str, digests: list[str], rows: dict[str, bytes], expected: str | None) -> str:
    if len(digests) > MAX_ROWS:
        raise problem(413, ["body"], f"A table may have at most {MAX_ROWS} rows", "table_too_large")
    content = "".join(digests).encode()
    digest = hashlib.sha256(content).hexdigest()
    if expected not in (None, "", digest):
        raise problem(409, ["body"], f"The digest of the table is {digest}", "digest_mismatch")
    await keep(project_id, {**rows, digest: content})
    return digest


async def _digests(project_id: str, digest: str) -> list[str]:
    await catching_up.seen_by_all(topics.weave)
    content = await content_of(project_id, digest)
    if content is None or hashlib.sha256(content).hexdigest() != digest:
        raise not_found("Table")
    joined = content.decode()
    return [joined[start : start + _DIGEST] for start in range(0, len(joined), _DIGEST)]
