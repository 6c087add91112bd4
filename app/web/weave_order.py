"""`sort_by` of Weave's queries."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, TypeVar

from pydantic import BaseModel

from app.web.weave_expressions import at_path

T = TypeVar("T")


class SortBy(BaseModel):
    field: str
    direction: Literal["asc", "desc", "ASC", "DESC"] = "asc"


def in_order(rows: Iterable[dict[str, Any]], sort_by: Sequence[SortBy]) -> list[dict[str, Any]]:
    """Rows sorted by fields; those that lack one come last."""
    return in_order_of(rows, sort_by, lambda row: [at_path(row, by.field) for by in sort_by])


def in_order_of(items: Iterable[T], sort_by: Sequence[SortBy], values: Callable[[T], Sequence[Any]]) -> list[T]:
    """Items sorted by their values of the fields."""
    found = list(items)
    for number in reversed(range(len(sort_by))):
        having = [item for item in found if values(item)[number] is not None]
        lacking = [item for item in found if values(item)[number] is None]
        backwards = sort_by[number].direction.lower() == "desc"
        having.sort(key=lambda item, number=number: _sortable(values(item)[number]), reverse=backwards)  # type: ignore[misc]
        found = having + lacking
    return found


def _sortable(value: Any) -> tuple[int, Any]:
    """Numbers first, then texts, then all else."""
    if isinstance(value, bool | int | float):
        return 0, value
    return (1, value) if isinstance(value, str) else (2, str(value))
