"""Types that all queries share: pages of rows, for when there may be more than one answer should hold."""

from time import perf_counter
from typing import Any, TypedDict

Cursors = list[str | bool | None]  # one for each partition: None for the beginning, False if nothing is left

SLICE_SECONDS = 0.003
SLICE_BYTES = 1024**2


class Page(TypedDict):
    """Items by key, in the order of the scan, and the key to continue after; `next` is None at the end."""

    items: list[tuple[str, Any]]
    next: str | None


class Slice:
    """Bounds one turn of a query by rows, time and bytes, so that no query holds up the event loop."""

    def __init__(self, rows: int) -> None:
        self.items: list[tuple[str, Any]] = []
        self._rows = rows
        self._bytes = 0
        self._deadline = perf_counter() + SLICE_SECONDS

    def add(self, key: str, item: Any, size: int = 0) -> None:
        self.items.append((key, item))
        self._bytes += size

    def full(self) -> bool:
        return len(self.items) >= self._rows or self._bytes >= SLICE_BYTES or perf_counter() >= self._deadline

    def page(self, next: str | None) -> Page:
        return {"items": self.items, "next": next}
