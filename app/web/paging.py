"""Lists over all partitions, merged in key order: one page, with an opaque cursor for the next, or everything."""

import base64
import binascii
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from time import perf_counter
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from app import cluster, topics
from app.web.errors import ApiError, problem
from tables.paging import Cursors, Page

DEFAULT_LIMIT = 100
MAX_LIMIT = 1_000
_PAGE_SECONDS = 0.5  # a page ends early rather than take longer
_SPARE_ROWS = 8

P = ParamSpec("P")
S = TypeVar("S", bound=Mapping[str, object])
T = TypeVar("T")
PagedQuery = Callable[Concatenate[int, str | None, int, P], Page | Awaitable[Page]]
_Ask = Callable[[str | None, int], Awaitable[Iterable[Page]]]


def encode_cursor(key: str | None) -> str | None:
    """The opaque cursor that stands for `key`."""
    return None if key is None else base64.urlsafe_b64encode(key.encode()).rstrip(b"=").decode()


def decode_cursor(cursor: str | None, where: str = "query") -> str | None:
    """The key that a cursor of the query, or of the body, stands for.

    Raises:
        ApiError: 422, it is not a cursor of ours.
    """
    if cursor is None:
        return None
    if not cursor:  # it would stand for the empty key, after which a list in reverse order has nothing
        raise bad_cursor(where)
    try:
        return base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise bad_cursor(where) from None


def bad_cursor(where: str = "query") -> ApiError:
    return problem(422, [where, "cursor"], "The cursor is not one that this list gave out", "invalid_cursor")


def listing(items: list[Any], next_key: str | None) -> dict[str, Any]:
    """The shape of every list."""
    return {"items": items, "next_cursor": encode_cursor(next_key)}


def page_of(keyed: Iterable[tuple[str, Any]], after: str | None, limit: int) -> dict[str, Any]:
    """A page of a list that is all in memory, as keys and items: what comes behind the key `after`."""
    left = [item for item in keyed if after is None or item[0] > after]
    return listing(*merge([{"items": left, "next": None}], limit))


async def collect(
    query: PagedQuery[P], after: str | None, limit: int, *args: P.args, **kwargs: P.kwargs
) -> tuple[list[Any], str | None]:
    """Up to `limit` items of all partitions after the key `after`, and the key to continue after.

    Returns fewer items, and a key to continue after, if finding them takes too long.
    """
    return await _collect(_in_all(query, *args, **kwargs), after, limit)


async def collect_backwards(
    query: PagedQuery[P], after: str | None, limit: int, *args: P.args, **kwargs: P.kwargs
) -> tuple[list[Any], str | None]:
    """As `collect`, with a query whose pages go from large keys to small ones."""
    return await _collect(_in_all(query, *args, **kwargs), after, limit, backwards=True)


async def collect_of(
    query: PagedQuery[P], key: bytes, after: str | None, limit: int, *args: P.args, **kwargs: P.kwargs
) -> tuple[list[Any], str | None]:
    """As `collect`, of the partition that owns a partitioning key."""

    async def ask(after: str | None, limit: int) -> Iterable[Page]:
        return [await cluster.owner(query, key, after, limit, *args, **kwargs)]

    return await _collect(ask, after, limit)


def _in_all(query: PagedQuery[P], *args: P.args, **kwargs: P.kwargs) -> _Ask:
    async def ask(after: str | None, limit: int) -> Iterable[Page]:
        rows = -(-limit // topics.partitions()) + _SPARE_ROWS
        return (await cluster.everywhere(query, after, rows, *args, **kwargs)).values()

    return ask


async def _collect(ask: _Ask, after: str | None, limit: int, backwards: bool = False) -> tuple[list[Any], str | None]:
    items: list[Any] = []
    deadline = perf_counter() + _PAGE_SECONDS
    while True:
        found, after = merge(list(await ask(after, limit - len(items))), limit - len(items), backwards)
        items.extend(found)
        if after is None or len(items) >= limit or perf_counter() >= deadline:
            return items, after


async def from_every_worker(collecting: Awaitable[T]) -> T:
    """What is collected, for a caller that must pass over nothing. Raises Unavailable if a worker is silent."""
    with cluster.noting() as silent:
        found = await collecting
    if silent:
        raise cluster.Unavailable("a worker does not answer, or is behind")
    return found


async def everything(query: PagedQuery[P], rows: int, *args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[list[Any]]:
    """The items of all partitions in key order, up to `rows` at a time. Raises Unavailable if a worker is silent."""
    after = None
    while True:
        found, after = await from_every_worker(collect(query, after, rows, *args, **kwargs))
        yield found
        if after is None:
            return


async def everything_of(
    query: PagedQuery[P], key: bytes, rows: int, *args: P.args, **kwargs: P.kwargs
) -> AsyncGenerator[list[Any]]:
    """As `everything`, of the partition that owns a partitioning key."""
    after = None
    while True:
        page = await cluster.owner(query, key, after, rows, *args, **kwargs)
        yield [item for _, item in page["items"]]
        after = page["next"]
        if after is None:
            return


async def sweep(
    query: cluster.Query[Concatenate[Cursors, P], S], *args: P.args, **kwargs: P.kwargs
) -> AsyncIterator[S]:
    """The answers of all partitions, slice by slice; the `next` of each slice is the key to continue after."""
    cursors: Cursors = [None] * topics.partitions()
    while any(cursor is not False for cursor in cursors):
        answers = await cluster.everywhere(query, cursors, *args, **kwargs)
        nexts = {partition: cast("str | None", answer["next"]) for partition, answer in answers.items()}
        cursors = [nexts.get(partition) or False for partition in range(topics.partitions())]
        for answer in answers.values():
            yield answer


def merge(pages: list[Page], limit: int, backwards: bool = False) -> tuple[list[Any], str | None]:
    """The first `limit` items of sorted pages in key order, and the key to continue after.

    Pages that stopped early may lack items beyond their last key, so no item beyond the first such key is taken.
    """
    stops = [page["next"] for page in pages if page["next"] is not None]
    horizon = (max(stops) if backwards else min(stops)) if stops else None
    merged = sorted((item for page in pages for item in page["items"]), key=lambda item: item[0], reverse=backwards)
    if horizon is not None:
        merged = [item for item in merged if (item[0] >= horizon if backwards else item[0] <= horizon)]
    taken = merged[:limit]
    next_key = taken[-1][0] if len(merged) > limit else horizon
    return [item for _, item in taken], next_key
