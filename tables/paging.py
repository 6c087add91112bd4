"""What all queries share: pages of rows, for when there may be more than one answer should hold."""

from collections.abc import Iterable
from time import perf_counter
from typing import Any, TypedDict

Cursors = list[str | bool | None]  # one for each partition: None for the beginning, False if nothing is left

SLICE_SECONDS = 0.003
SLICE_BYTES = 1024**2


class Page(TypedDict):
    """Items by key, in the order of the scan, and the key to continue after; `next` is None at the end."""

    items: list[tuple[str, Any]]
    next: str | None


Looked = tuple[str, Any, int]
"""What a query found at a key: the item, None if there is none to show, and its size in bytes."""


def page_of(most: int, found: Iterable[Looked]) -> Page:
    """A page of at most so many items, bounded by time and bytes too, so that no query holds up the event loop."""
    items: list[tuple[str, Any]] = []
    size, deadline = 0, perf_counter() + SLICE_SECONDS
    for key, item, item_size in found:
        if item is not None:
            items.append((key, item))
            size += item_size
        if len(items) >= most or size >= SLICE_BYTES or perf_counter() >= deadline:
            return {"items": items, "next": key}
    return {"items": items, "next": None}
