"""`sort_by` of Weave's queries."""

from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, Field

from app.web.weave.bodies import Listed
from app.web.weave.expressions import at_path

T = TypeVar("T")

Key = Sequence[tuple[int, Any] | None]


_LONGEST = 200  # characters of a string, or of any value but a number, by which it is sorted


class SortBy(BaseModel):
    field: str = Field(max_length=1_000)
    direction: Literal["asc", "desc", "ASC", "DESC"] = "asc"


Sorting = Annotated[Listed[SortBy], Field(max_length=3)]


def key_of(row: dict[str, Any], sort_by: Sequence[SortBy]) -> Key:
    """The values that a row is sorted by, cut short so that they are small; None for a field that it lacks."""
    return [_sortable(at_path(row, by.field)) for by in sort_by]


def in_order(items: Iterable[T], sort_by: Sequence[SortBy], key: Callable[[T], Key]) -> list[T]:
    """Items sorted by their keys; those that lack a field come last."""
    found = list(items)
    for number, by in reversed(list(enumerate(sort_by))):
        having = [(value, item) for item in found if (value := key(item)[number]) is not None]
        lacking = [item for item in found if key(item)[number] is None]
        having.sort(key=itemgetter(0), reverse=by.direction.lower() == "desc")
        found = [item for _, item in having] + lacking
    return found


def _sortable(value: Any) -> tuple[int, Any] | None:
    """Numbers first, then strings, then everything else."""
    if value is None:
        return None
    if isinstance(value, bool | int | float):
        return 0, value
    return (1, value[:_LONGEST]) if isinstance(value, str) else (2, str(value)[:_LONGEST])
