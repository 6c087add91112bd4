"""Table of published scorers: one row a project and name, which says what `:latest` is, and one row a version.

A version may be as large as a record of the changelog, so each has a row of its own.
"""

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import msgspec
from msgspec import field
from msgspec.json import Decoder

from app import cluster, ids, topics
from app.events import WEAVE_OBJECT, ScorerPublished
from app.positions import positions
from app.structs import Struct
from tables.base import Table
from tables.paging import Page, page_of

table = Table("scorers")


class Row(Struct):
    """A scorer; `latest` is the digest that `:latest` stands for."""

    offset: int
    latest: str
    versions: dict[str, ScorerPublished] = field(default_factory=dict)
    """By digest, in rows from before versions had rows of their own."""


class Version(Struct):
    """A version of a scorer, with the policy that it was published with last."""

    offset: int
    published: ScorerPublished


class _Published(msgspec.Struct):
    kind: str
    published_at: float


class _Brief(msgspec.Struct):
    """The few fields that tell whether a version is a scorer, and how old: a Weave object may have a megabyte."""

    published: _Published


_decode = Decoder(Row).decode
_brief = Decoder(_Brief).decode
_decode_version = Decoder(Version).decode


def fold(row: Row | None, event: ScorerPublished, offset: int) -> Row:
    """The row after `event`. A version published again becomes the latest again."""
    if row is None:
        return Row(offset=offset, latest=event.digest)
    return row if row.offset >= offset else row.replace(offset=offset, latest=event.digest)


def fold_version(known: Version | None, event: ScorerPublished, offset: int) -> Version:
    """The version after `event`. Publishing it again changes only its policy, which is no part of its ref."""
    if known is None:
        return Version(offset=offset, published=event)
    if known.offset >= offset:
        return known
    return Version(offset=offset, published=known.published.replace(policy=event.policy))


def save(partition: int, event: ScorerPublished, offset: int) -> None:
    """Apply `event` to the rows of its scorer."""
    key = ids.scorer_key(event.project_id, event.name)
    row = table.load(partition, key, _decode)
    version = fold_version(_version(partition, key, row, event.digest), event, offset)
    rows = [(key, fold(row, event, offset).encode()), (_version_key(key, event.digest), version.encode())]
    table.write(partition, rows)


def of_project(partition: int, project_id: str | None) -> Iterator[tuple[Row, list[ScorerPublished]]]:
    """The scorers of a project (None: those of no project) in this partition, by name, with all their versions.

    Objects of Weave's that are no scorers are left out.
    """
    rows = table.scan(partition, ids.join_key(project_id or "") + ids.SEPARATOR)
    for _, [(_, head), *behind] in groupby(rows, key=lambda item: ids.split_key(item[0])[1]):
        row = _decode(head)
        scorers = (item for item in behind if _brief(item[1]).published.kind != WEAVE_OBJECT)
        versions = row.versions | {ids.split_key(key)[2]: _decode_version(value).published for key, value in scorers}
        yield row, [version for version in versions.values() if version.kind != WEAVE_OBJECT]


def version(partition: int, project_id: str | None, name: str, digest: str) -> dict[str, Any] | None:
    """One version of a scorer (`latest`: the newest), as ScorerPublished has it; None if there is none."""
    key = ids.scorer_key(project_id, name)
    row = table.load(partition, key, _decode)
    if row is None:
        return None
    found = _version(partition, key, row, row.latest if digest == "latest" else digest)
    return None if found is None else found.published.as_dict()


async def find_version(project_id: str | None, name: str, digest: str) -> ScorerPublished | None:
    """One version of a scorer of a project (None: of no project), from its owner; `latest` is the newest.

    Raises:
        cluster.Unavailable: the owner cannot answer now.
    """
    key = ids.scorer_key(project_id, name)
    found = await cluster.owner(version, key, project_id, name, digest)
    return None if found is None else msgspec.convert(found, ScorerPublished)


async def find_usable(project_id: str, name: str, digest: str) -> ScorerPublished | None:
    """The version that a project uses: its own, else one of no project. Raises as `find_version`."""
    own = await find_version(project_id, name, digest)
    return own or await find_version(None, name, digest)


def _version(partition: int, key: bytes, row: Row | None, digest: str) -> Version | None:
    found = table.load(partition, _version_key(key, digest), _decode_version)
    if found is not None:
        return found
    before = None if row is None else row.versions.get(digest)
    return None if before is None or row is None else Version(offset=-1, published=before)


def _version_key(key: bytes, digest: str) -> bytes:
    return key + ids.SEPARATOR + digest.encode()


# --- queries -------------------------------------------------------------------------------------


def applied(partition: int) -> int:
    """The offset of the last record that is in the rows of this partition: they change with it alone."""
    return positions.get(topics.scorers.name, partition)


def listing(partition: int, project_id: str | None) -> list[dict[str, Any]]:
    """Every version of the scorers of a project (None: those of no project), without objects of Weave's.

    `order` sorts them by name, `:latest` first, then the newest; it does not change when others are published.
    """
    found = []
    for row, versions in of_project(partition, project_id):
        for version in versions:
            age = 10**15 - int(version.published_at * 1000)
            order = f"{version.name}\0{int(version.digest != row.latest)}\0{age:016d}\0{version.digest}"
            found.append({**version.replace(source=None).as_dict(), "order": order})
    return found


def versions(partition: int, after: str | None, rows: int, project_id: str, name: str) -> Page:
    """[time of first publication, digest, whether it is `:latest`] of each version of an object, by digest."""
    key = ids.scorer_key(project_id, name)
    row = table.load(partition, key, _decode)
    if row is None:
        return {"items": [], "next": None}
    latest = row.latest
    in_head = [
        (digest, [version.published_at, digest, digest == latest])
        for digest, version in row.versions.items()
        if after is None and table.get_row(partition, _version_key(key, digest)) is None
    ]
    scanned = table.scan(partition, key + ids.SEPARATOR, None if after is None else _version_key(key, after))
    own_rows = (
        (digest := ids.split_key(key)[2], [_brief(value).published.published_at, digest, digest == latest], len(value))
        for key, value in scanned
    )
    page = page_of(rows - len(in_head), own_rows)
    return {"items": in_head + page["items"], "next": page["next"]}
