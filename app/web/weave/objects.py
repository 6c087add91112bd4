"""Weave's objects: `/obj/create` and `/obj/read`. Scorer objects can be run; others are stored for their refs."""

import json
import re
import time
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, NamedTuple

from aiohttp import web
from pydantic import BaseModel

from app import ids, topics
from app.events import WEAVE_OBJECT, ScorerPublished
from app.judges import weave
from app.scorers import BadRef, Policy, parse_ref
from app.web import log_writes
from app.web.auth import USER, check_read, check_write
from app.web.bodies import decode_exactly
from app.web.errors import not_found, problem
from app.web.paging import everything_of
from app.web.publishing import REGISTRY, bind, check_askable, check_cap, check_kept, encode
from app.web.queries import Id
from app.web.responses import json_response
from app.web.weave.bodies import read
from app.web.weave.files import digest_of_bytes
from tables import scorers

_AT_ONCE = 1_000
_NUMBERED = re.compile(r"v[0-9]{1,9}")  # how the SDK names a version by its number


class NewObject(BaseModel):
    project_id: Id
    object_id: Id
    val: Any
    expected_digest: str | None = None


class ObjectCreation(BaseModel):
    obj: NewObject


class ObjectKey(BaseModel):
    project_id: Id
    object_id: Id
    digest: Id


async def create_object(request: web.Request) -> web.Response:
    """Publish a version of an object. Its digest is the one that Weave computes."""
    obj = (await read(request, ObjectCreation, decode_exactly)).obj
    check_write(request, obj.project_id)
    check_kept(obj.val, "The val is", "body", "obj", "val")
    digest = digest_of(obj.val)
    if obj.expected_digest not in (None, "", digest):
        raise problem(409, ["body", "obj"], f"The digest of the object is {digest}", "digest_mismatch")
    kind, params = await _scorer(obj)
    if kind != WEAVE_OBJECT:
        bound = bind(request.app[REGISTRY], obj.object_id, kind, params)
        check_cap(bound, Policy(), "body", "obj", "val")
        await check_askable(bound, Policy(), obj.project_id, digest, "body", "obj", "val")
        params = dict(bound.params)
    event = ScorerPublished(
        ref=f"weave:///{obj.project_id}/object/{obj.object_id}:{digest}",
        project_id=obj.project_id,
        name=obj.object_id,
        kind=kind,
        params=params,
        digest=digest,
        source={"val": obj.val},
        published_by=request[USER].name,
        published_at=time.time(),
    )
    await log_writes.write_seen(topics.scorers, ids.scorer_key(obj.project_id, obj.object_id), encode(event))
    return json_response({"digest": digest, "object_id": obj.object_id})


async def read_object(request: web.Request) -> web.Response:
    """A version of an object, as it was published."""
    asked = await read(request, ObjectKey)
    check_read(request, asked.project_id, "Object")
    digest = asked.digest
    if _NUMBERED.fullmatch(digest):
        numbered = (await _versions(asked.project_id, asked.object_id))[int(digest[1:]) :]
        digest = numbered[0][1] if numbered else digest
    found = await version_of(asked.project_id, asked.object_id, digest)
    if found is None:
        raise not_found("Object")
    versions = await _versions(asked.project_id, asked.object_id)
    published, val = found
    index = next(index for index, (_, version, _) in enumerate(versions) if version == published.digest)
    return json_response(
        {
            "obj": {
                "project_id": asked.project_id,
                "object_id": asked.object_id,
                "digest": published.digest,
                "created_at": datetime.fromtimestamp(published.published_at, UTC).isoformat(),
                "version_index": index,
                "is_latest": int(versions[index][2]),
                "kind": "op" if _is_op(val) else "object",
                "base_object_class": _base_class(val),
                "leaf_object_class": weave.class_of(val) or None,
                "val": val,
            }
        }
    )


def digest_of(val: Any) -> str:
    """Weave's digest of an object, which is that of its JSON."""
    return digest_of_bytes(json.dumps(val, sort_keys=True).encode())


async def _scorer(obj: NewObject) -> tuple[str, dict[str, Any]]:
    if weave.class_of(obj.val) not in (weave.JUDGE, weave.REMOTE):
        return WEAVE_OBJECT, {}
    try:
        return weave.scorer_of(obj.val, await _model(obj))
    except weave.CannotRun as error:
        raise problem(
            422, ["body", "obj", "val"], f"{obj.object_id} cannot be run here: {error}", "cannot_run"
        ) from None


async def _model(obj: NewObject) -> dict[str, Any] | None:
    """The `model` of a judge, or the object that it refers to."""
    model = obj.val.get("model")
    if isinstance(model, str):
        try:
            ref = parse_ref(model)
        except BadRef:
            return None
        if ref.entity_project != obj.project_id:
            return None
        found = await version_of(obj.project_id, ref.name, ref.digest)
        model = None if found is None else found.val
    return model if isinstance(model, dict) else None


async def _versions(project_id: str, name: str) -> list[tuple[float, str, bool]]:
    """(when published, digest, whether it is the latest) of each version, oldest first."""
    pages = everything_of(scorers.versions, ids.scorer_key(project_id, name), _AT_ONCE, project_id, name)
    async with aclosing(pages):
        return sorted([tuple(version) async for page in pages for version in page])


def _base_class(val: Any) -> str | None:
    """The class of Weave's that an object is of, such as Scorer or Dataset: the one below the root of them all."""
    bases = val.get("_bases") if isinstance(val, dict) else None
    if not isinstance(bases, list) or bases[-1:] != ["BaseModel"] or bases[-2:-1] not in (["Object"], ["BaseObject"]):
        return None
    base = bases[-3] if len(bases) > 2 else val.get("_class_name")
    return base if isinstance(base, str) else None


def _is_op(val: Any) -> bool:
    kind = val.get("weave_type") if isinstance(val, dict) else None
    return isinstance(kind, dict) and kind.get("type") == "Op"


class Version(NamedTuple):
    """A version of an object, and its value."""

    published: ScorerPublished
    val: Any


async def version_of(project_id: str, name: str, digest: str) -> Version | None:
    """A version of an object; None if there is none."""
    found = await scorers.find_version(project_id, name, digest)
    return None if found is None or found.source is None else Version(found, found.source["val"])
