"""Published scorers: one row a project and name, with every version under its digest."""

from collections.abc import Iterator

from pydantic import BaseModel

from app import ids
from app.events import ScorerPublished
from tables.base import Table

table = Table("scorers")


class Row(BaseModel):
    """All versions of one scorer; `latest` is the digest that `:latest` stands for."""

    offset: int
    latest: str
    versions: dict[str, ScorerPublished]


def fold(row: Row | None, event: ScorerPublished, offset: int) -> Row:
    """The row after `event`. A version published again becomes the latest again, and stays the same version."""
    if row is None:
        return Row(offset=offset, latest=event.digest, versions={event.digest: event})
    if row.offset >= offset:
        return row
    versions = {**row.versions}
    versions.setdefault(event.digest, event)
    return Row(offset=offset, latest=event.digest, versions=versions)


def load(partition: int, project_id: str | None, name: str) -> Row | None:
    value = table.get_row(partition, ids.scorer_key(project_id, name))
    return None if value is None else Row.model_validate_json(value)


def save(partition: int, project_id: str | None, name: str, row: Row) -> None:
    table.put_row(partition, ids.scorer_key(project_id, name), row.model_dump_json().encode())


def of_project(partition: int, project_id: str | None) -> Iterator[Row]:
    """The scorers of a project (None: those of no project) in this partition, by name."""
    for _, value in table.scan(partition, ids.join_key(project_id or "") + ids.SEPARATOR):
        yield Row.model_validate_json(value)
