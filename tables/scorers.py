"""Published scorers: one row a project and name, with every version under its digest."""

from collections.abc import Iterator
from typing import Any

from msgspec.json import Decoder

from app import ids
from app.events import ScorerPublished
from app.structs import Struct
from tables.base import Table

table = Table("scorers")


class Row(Struct):
    """All versions of one scorer; `latest` is the digest that `:latest` stands for."""

    offset: int
    latest: str
    versions: dict[str, ScorerPublished]


_decode = Decoder(Row).decode


def fold(row: Row | None, event: ScorerPublished, offset: int) -> Row:
    """The row after `event`. A version published again becomes the latest again, and stays the same version.

    Only how it is run is as published last, since that is no part of what its ref names.
    """
    if row is None:
        return Row(offset=offset, latest=event.digest, versions={event.digest: event})
    if row.offset >= offset:
        return row
    known = row.versions.get(event.digest)
    version = event if known is None else known.replace(policy=event.policy)
    return Row(offset=offset, latest=event.digest, versions={**row.versions, event.digest: version})


def load(partition: int, project_id: str | None, name: str) -> Row | None:
    value = table.get_row(partition, ids.scorer_key(project_id, name))
    return None if value is None else _decode(value)


def save(partition: int, project_id: str | None, name: str, row: Row) -> None:
    table.put_row(partition, ids.scorer_key(project_id, name), row.encode())


def of_project(partition: int, project_id: str | None) -> Iterator[Row]:
    """The scorers of a project (None: those of no project) in this partition, by name."""
    for _, value in table.scan(partition, ids.join_key(project_id or "") + ids.SEPARATOR):
        yield _decode(value)


def version(partition: int, project_id: str | None, name: str, digest: str) -> dict[str, Any] | None:
    """One version of a scorer (`latest`: the newest), as ScorerPublished has it; None if there is none."""
    row = load(partition, project_id, name)
    if row is None:
        return None
    found = row.versions.get(row.latest if digest == "latest" else digest)
    return None if found is None else found.as_dict()


# --- queries -------------------------------------------------------------------------------------


def listing(partition: int, project_id: str | None) -> list[dict[str, Any]]:
    """Every version of the scorers of a project (None: those of no project).

    `order` sorts them by name, `:latest` first, then the newest; it stays when others are published.
    """
    found = []
    for row in of_project(partition, project_id):
        for version in row.versions.values():
            age = 10**15 - int(version.published_at * 1000)
            order = f"{version.name}\0{int(version.digest != row.latest)}\0{age:016d}\0{version.digest}"
            found.append({**version.as_dict(), "order": order})
    return found
