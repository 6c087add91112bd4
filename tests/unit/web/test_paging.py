"""Pages of sorted partitions, read one after the other, give every item once and in order."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import cluster
from app.web.errors import ApiError
from app.web.paging import collect, collect_of, decode_cursor, encode_cursor, from_every_worker, merge
from tables import breakers
from tables.paging import Page
from tests.unit.web.client import Client


def page_of(keys: list[str], after: str | None, rows: int, backwards: bool) -> Page:
    left = sorted(keys, reverse=backwards)
    if after is not None:
        left = [key for key in left if (key < after if backwards else key > after)]
    items = [(key, key) for key in left[:rows]]
    return {"items": items, "next": items[-1][0] if len(left) > rows else None}


@given(
    st.lists(st.sets(st.text(max_size=3), max_size=12), min_size=1, max_size=4),
    st.integers(1, 5),
    st.integers(1, 7),
    st.booleans(),
)
def test_every_item_comes_once_and_in_order(partitions: list[set[str]], rows: int, limit: int, backwards: bool) -> None:
    owned = [
        sorted(keys.difference(*partitions[:index])) for index, keys in enumerate(partitions)
    ]  # a key lies in one partition
    found: list[str] = []
    after: str | None = None
    for _ in range(200):
        items, after = merge([page_of(keys, after, rows, backwards) for keys in owned], limit, backwards)
        assert len(items) <= limit
        found.extend(items)
        if after is None:
            break
    assert found == sorted(set().union(*partitions), reverse=backwards)


@given(st.text(min_size=1).filter(lambda text: text.isprintable()))
def test_a_cursor_stands_for_its_key(key: str) -> None:
    assert decode_cursor(encode_cursor(key)) == key


@pytest.mark.parametrize("cursor", ["", "é", "!!!!", "a", "/w=="])
def test_a_cursor_that_was_not_given_out_is_refused(cursor: str) -> None:
    with pytest.raises(ApiError) as raised:
        decode_cursor(cursor)
    assert (raised.value.status, raised.value.details[0]["loc"]) == (422, ["query", "cursor"])


async def test_what_must_pass_over_nothing_is_refused_while_a_worker_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    silent: set[int] = set()

    async def everywhere(query: Callable[..., Page], *args: object) -> dict[int, Page]:
        noted = cluster.unanswered.get()
        if noted is not None:
            noted.update(silent)
        return {partition: query(partition, *args) for partition in {0, 1} - silent}

    def query(partition: int, _after: str | None, _rows: int) -> Page:
        return {"items": [(str(partition), partition)], "next": None}

    monkeypatch.setattr(cluster, "everywhere", everywhere)
    assert await from_every_worker(collect(query, None, 10)) == ([0, 1], None)
    silent.add(1)
    with pytest.raises(cluster.Unavailable):
        await from_every_worker(collect(query, None, 10))
    assert await collect(query, None, 10) == ([0], None)


async def test_a_page_of_one_partition_is_full_however_few_items_each_answer_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def query(_partition: int, after: str | None, rows: int) -> Page:
        return page_of(list("abcde"), after, min(rows, 2), backwards=False)

    async def owner(_query: object, _key: bytes, after: str | None, rows: int) -> Page:
        return query(0, after, rows)

    monkeypatch.setattr(cluster, "owner", owner)
    assert await collect_of(query, b"key", None, 10) == (list("abcde"), None)
    assert await collect_of(query, b"key", "a", 3) == (list("bcd"), "d")


def test_breakers_come_in_pages_open_ones_first(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {(project, name): breakers.Breaker(name, project) for name in "abc" for project in (None, "acme")}
    known[None, "b"].shared = known[None, "b"].shared.replace(version=1, open=True)
    monkeypatch.setattr(breakers, "_breakers", known)

    async def every_worker(query: object) -> dict[str, list[breakers.Shown]]:
        return {"here": breakers.listing(0)}

    monkeypatch.setattr(cluster, "every_worker", every_worker)
    found, path = [], "/breakers?limit=4"
    for _ in range(2):
        page = client.get(path).json
        found.append([(item["scorer_name"], item["project_id"], item["state"]) for item in page["items"]])
        path = f"/breakers?limit=4&cursor={page['next_cursor']}"
    assert page["next_cursor"] is None
    acme_and_all = [(name, project, "closed") for name in "abc" for project in (None, "acme")]
    acme_and_all.remove(("b", None, "closed"))
    assert found == [[("b", None, "open"), *acme_and_all[:3]], acme_and_all[3:]]
