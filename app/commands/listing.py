"""Printing a list view: the first rows as a table, or all items as JSON lines."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from app.client.http import Client
from app.client.output import note, print_json, print_line, table

_TABLE_ROWS = 50


async def show(
    client: Client,
    path: str,
    params: Mapping[str, str],
    limit: int | None,
    as_json: bool,
    headings: Sequence[str],
    row: Callable[[Mapping[str, Any]], Sequence[str]],
    none: str,
) -> None:
    """Print the items of a view in one of the two forms, or the line `none` in place of an empty table."""
    if as_json:
        await print_items(client.items(path, params, limit))
        return
    items, more = await first_items(client, path, params, limit)
    if not items:
        print_line(none)
        return
    table(headings, [row(item) for item in items])
    if more:
        note_more(len(items))


async def print_items(items: AsyncIterator[Mapping[str, Any]]) -> None:
    """Print every item as a line of JSON."""
    async for item in items:
        print_json(item)


async def first_items(
    client: Client, path: str, params: Mapping[str, str], limit: int | None
) -> tuple[list[dict[str, Any]], bool]:
    """The first items of a view for a table, 50 unless `limit` says otherwise, and whether there are more."""
    count = limit or _TABLE_ROWS
    items = [item async for item in client.items(path, params, count + 1)]
    return items[:count], len(items) > count


def note_more(count: int, everything: str = "--json") -> None:
    """Note that a table shows the first `count` rows only, and how to get the others."""
    note(f"Only the first {count} are shown. Use --limit N for more, {everything} for all.")
