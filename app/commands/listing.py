"""Printing a list view: the first rows as a table, or all items as JSON lines."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from app.client.http import Client
from app.client.output import note, print_json, print_line, stdout, table
from app.client.tasks import share
from app.client.text import number

TABLE_ROWS = 50


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
    count = limit or TABLE_ROWS
    items = [item async for item in client.items(path, params, count + 1)]
    return items[:count], len(items) > count


def note_more(count: int, everything: str = "--json") -> None:
    """Note that a table shows the first `count` rows only, and how to get the others."""
    shown = "one is" if count == 1 else f"{number(count)} are"
    note(f"Only the first {shown} shown. Use --limit N for more, {everything} for all.")


async def show_requests(client: Client, params: Mapping[str, str], limit: int, as_json: bool) -> None:
    """Print the newest requests that clients made, or those that `params` mean."""
    items = client.items("/score-requests", params, limit)
    if as_json:
        await print_items(items)
        return
    # Two lines a request on a terminal, so that the long ids leave room at 80 columns.
    split = "\n" if stdout().is_terminal else "  "
    rows = [
        [
            f"{request['request_id']}{split}{request['project_id']}",
            request["status"],
            share(request["tasks"]),
            number(request["tasks"]["total"]),
            number(request["tasks"]["failed"]),
            _age(request["requested_at"]),
        ]
        async for request in items
    ]
    if not rows:
        hint = "" if params else " Make one with: callscore submit"
        print_line(f"There are no score requests.{hint}")
        return
    table(["REQUEST", "STATUS", "DONE", "TASKS", "FAILED", "AGE"], rows, right=("DONE", "TASKS", "FAILED", "AGE"))


def _age(moment: str) -> str:
    age = (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if age >= length:
            return f"{age // length:.0f}{unit}"
    return f"{max(age, 0):.0f}s"
